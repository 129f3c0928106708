"""Keeps the probe's own time within its share of the model's, by adapting how often and how much it looks.

A bucket of credit: every second of forward time earns `budget_ratio` seconds, less what the hooks of every pass take;
a look is allowed while there is credit, and what it took is paid afterwards, in debt if need be, so that rare large
looks are not starved by frequent small ones. The bucket holds what three and a half seconds earn, and no look may be
dearer than what three do. In any ten seconds of forward time the probe so spends at most what 3.5 + 3 + 10 + 2.5 (the
least that looks are left with) seconds earn: less than twice the budget, as long as the hooks of every pass alone keep
to it. What a look takes beyond its price as it was known is paid back before the next one.

Subjects that were refused for lack of credit queue: who comes later waits until the first had its turn, or the bucket
is half full. So one that is wanted all the time does not live from hand to mouth at the expense of a rare one.

For a look that the agent asked for the bucket may hold up to nine seconds' worth, less where the hooks of late take
much, while no other look is paid. What it holds beyond three and a half is gone with that look: so that ten seconds
with it, and whatever came before or comes after, stay below twice the budget as well.

Time comes in as arguments only: the same history gives the same decisions.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Hashable, Sequence

from locant.probe.effort import Chance, Effort, Interest, Look
from locant.probe.estimates import Estimates, Kind, Price

WINDOW_SECONDS = 10.0
START_PASSES = 1000
"""During so many first passes the first ones, and the first of each kind, are looked at free of charge."""
FREE_LOOKS = 64

_HELD_SECONDS = 3.5
_SAVED_SECONDS = 9.0
_BOUND_SECONDS = 19.0
"""What ten seconds may cost, hooks included: twice the budget less a reserve."""
_DEAREST_SECONDS = 3.0
_LEAST_SHARE = 0.25
"""Looks are left with this share of the budget where the hooks of every pass take more than the rest."""
_MARGIN = 1.5
_FORGET = 0.1
_REMEMBERED = 1024
_UNSETTLED = 64


class Governor:
    """One model's budget, for all its threads. `budget_ratio`: share of forward time; None spends without limit.

    `step_ratio`: a look at a single decode step must not lengthen it by more than this, and at other passes does not
    as long as a smaller effort is left. `looks` counts those "taken", and those refused for the "budget" or the "step".
    """

    def __init__(self, budget_ratio: float | None = 0.01, step_ratio: float = 0.1) -> None:
        if budget_ratio is not None and not 0 <= budget_ratio <= 1:
            raise ValueError(f"overhead_budget: {budget_ratio} is not between 0 and 1")
        self._budget = budget_ratio
        self._step = step_ratio
        self._lock = threading.Lock()
        self._estimates = Estimates()
        self._usual_seconds: dict[Kind, float] = {}
        self._credit = 0.0
        self._saving = False
        self._queue: list[str] = []
        self._hook_share = 1.0
        self._passes = 0
        self._free: Counter[tuple[str, Hashable]] = Counter()
        self._forward_seconds = 0.0
        self._spent_seconds = 0.0
        self._waiting: deque[tuple[Kind, float, float, Sequence[tuple[Look, float]]]] = deque()
        self.looks: Counter[str] = Counter(taken=0, budget=0, step=0)

    def choose(
        self, subject: str, kind: Kind, efforts: Sequence[Effort], interest: Interest, *, single: bool = False
    ) -> Look | None:
        """A look at the pass that begins, or None to let it go by. `single`: the pass is one step of decoding."""
        if interest is Interest.NONE or self._budget == 0:
            return None
        with self._lock:
            self._settle()
            look = self._free_look(subject, kind, efforts, interest) or self._paid_look(subject, kind, efforts, single)
            if look is not None:
                self.looks["taken"] += 1
                self._credit -= look.reserved_seconds
            return look

    def choose_whole(
        self, subject: str, kind: Kind, efforts: Sequence[Effort], *, single: bool = False
    ) -> Look | Chance:
        """A look that the agent asked for, with the largest effort that a full bucket can pay; or why there is none.

        It may take what was saved and the debt that any look may leave. While it is saved for, other looks that must be
        paid wait. A step of decoding is not slowed by more than other looks may slow it.
        """
        if self._budget == 0:
            return Chance.NONE
        with self._lock:
            self._settle()
            found = self._whole_look(subject, kind, efforts, single)
            self._saving = found is Chance.LATER
            if isinstance(found, Look):
                self.looks["taken"] += 1
                self._credit = min(self._credit, (self._budget or 0.0) * _HELD_SECONDS) - found.reserved_seconds
            return found

    def save_no_more(self) -> None:
        """What was saved for is not wanted any more."""
        self._saving = False

    def passed(
        self, kind: Kind, forward_seconds: float, hook_seconds: float, looks: Sequence[tuple[Look, float]] = ()
    ) -> None:
        """Account for a pass: its time without the probe, that of the hooks, and the looks with what each took.

        Written down here, added up by `settle`.
        """
        self._waiting.append((kind, forward_seconds, hook_seconds, looks))
        if len(self._waiting) > _UNSETTLED:
            self.settle()

    def settle(self) -> None:
        """Add up what was written down, in its order."""
        with self._lock:
            self._settle()

    @property
    def forward_seconds(self) -> float:
        """Of all passes so far, without the probe."""
        self.settle()
        return self._forward_seconds

    @property
    def spent_seconds(self) -> float:
        """What the probe took of them so far."""
        self.settle()
        return self._spent_seconds

    def _settle(self) -> None:
        while self._waiting:
            self._add(*self._waiting.popleft())

    def _add(
        self, kind: Kind, forward_seconds: float, hook_seconds: float, looks: Sequence[tuple[Look, float]]
    ) -> None:
        self._passes += 1
        self._forward_seconds += forward_seconds
        self._spent_seconds += hook_seconds
        self._remember(kind, forward_seconds)
        if self._budget:
            earned = self._budget * forward_seconds
            earned = max(earned - hook_seconds, earned * _LEAST_SHARE)
            share = hook_seconds / max(self._budget * forward_seconds, 1e-12)
            self._hook_share += min(forward_seconds / WINDOW_SECONDS, 1.0) * (share - self._hook_share)
            held = self._saved_seconds if self._saving else _HELD_SECONDS
            self._credit = min(self._credit + earned, self._budget * held)
        for look, seconds in looks:
            self._spent_seconds += seconds
            self._credit += look.reserved_seconds - (0.0 if look.free else seconds)
            self._estimates.note(look.subject, kind, look.effort, seconds, self._forward_seconds)

    def waited(self, seconds: float) -> None:
        """The model's thread waited so long for what is no look and happens once: it is reported, and not saved up."""
        with self._lock:
            self._spent_seconds += seconds

    def _free_look(self, subject: str, kind: Kind, efforts: Sequence[Effort], interest: Interest) -> Look | None:
        """Every third one of a phase with the least effort, so that its price is known from the start."""
        if self._budget is None:
            return Look(subject, efforts[0], free=True)
        if interest is not Interest.NEW or self._passes >= START_PASSES or self._free.total() >= FREE_LOOKS:
            return None
        number = self._free[subject, kind[0]]
        self._free[subject, kind[0]] += 1
        return Look(subject, efforts[-1 if number % 3 == 1 else 0], free=True)

    def _paid_look(self, subject: str, kind: Kind, efforts: Sequence[Effort], single: bool) -> Look | None:
        """The largest effort that fits. Prices fade: a kind that was refused is tried again, with the least effort."""
        assert self._budget is not None
        step, why = self._step * self._usual_seconds.get(kind, 0.0), "budget"
        dearest = self._budget * _DEAREST_SECONDS / _MARGIN
        for effort in efforts if self._turn(subject) else ():
            price = self._price(subject, kind, effort, efforts[-1])
            if price is None or max(price.expected, price.least) > dearest:
                continue
            last = effort is efforts[-1]
            if (last and not single) or (price.expected if last else max(price.expected, price.least)) <= step:
                return Look(subject, effort, reserved_seconds=price.expected)
            why = "step"
        self.looks[why] += 1
        return None

    def _turn(self, subject: str) -> bool:
        """Whether there is credit for this subject: half a bucket while another one stands before it."""
        assert self._budget is not None
        first = self._queue[0] if self._queue else subject
        needed = 0.0 if first == subject else self._budget * _HELD_SECONDS / 2
        enough = self._credit > needed and not self._saving
        if enough and subject in self._queue:
            self._queue.remove(subject)
        elif not enough and subject not in self._queue:
            self._queue.append(subject)
        return enough

    @property
    def _saved_seconds(self) -> float:
        """What may be saved for a whole look: with the debt that it leaves and ten seconds of hooks within bounds."""
        room = _BOUND_SECONDS - _DEAREST_SECONDS - WINDOW_SECONDS * self._hook_share
        return min(max(room, _HELD_SECONDS), _SAVED_SECONDS)

    def _whole_look(self, subject: str, kind: Kind, efforts: Sequence[Effort], single: bool) -> Look | Chance:
        if self._budget is None:
            return Look(subject, efforts[0], free=True, whole=True)
        saved, debt = self._budget * self._saved_seconds, self._budget * _DEAREST_SECONDS
        most = (saved + debt) / _MARGIN
        if single:
            most = min(most, self._step * self._usual_seconds.get(kind, 0.0))
        for effort in efforts:
            known = self._estimates.expect(subject, kind, effort, self._forward_seconds)
            price = max(known.expected, known.least) if known is not None else most + 1.0
            if price <= most:
                affordable = self._credit > 0 and price * _MARGIN <= self._credit + debt
                return Look(subject, effort, whole=True, reserved_seconds=price) if affordable else Chance.LATER
        return Chance.NONE

    def _price(self, subject: str, kind: Kind, effort: Effort, least: Effort) -> Price | None:
        """What a look will take; None for more than the least effort in a kind that was never looked at."""
        known = self._estimates.expect(subject, kind, effort, self._forward_seconds)
        if known is None and effort is least:
            return self._estimates.guess(subject, kind, effort, self._forward_seconds)
        return known

    def _remember(self, kind: Kind, forward_seconds: float) -> None:
        """The usual time of a kind of pass; the oldest kind is forgotten when there are too many."""
        known = self._usual_seconds.get(kind)
        if known is None and len(self._usual_seconds) >= _REMEMBERED:
            del self._usual_seconds[next(iter(self._usual_seconds))]
        self._usual_seconds[kind] = forward_seconds if known is None else known + _FORGET * (forward_seconds - known)
