"""Keeps the profiler's own time within its share of the model's time, by adapting how often and how much it looks.

A bucket of credit: every second of forward time earns `budget_ratio` seconds, a look spends what it took, and the
bucket holds no more than ten seconds of forward time earn. In any ten seconds of forward time a look can so spend what
was saved and what is earned: at most twice the budget. Time comes in as arguments only, so that the same history gives
the same decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of one pass is looked at: query rows, and layers whose weights are computed."""

    rows: int
    layers: int

    @property
    def size(self) -> int:
        """What the cost grows with."""
        return self.rows * self.layers


EFFORTS = (Effort(32, 4), Effort(16, 4), Effort(16, 2), Effort(8, 1))
"""From most to least."""


class Governor:
    """One model's budget. Not for several threads at once.

    `budget_ratio`: share of forward time. `free_looks`: so many first looks are allowed on credit, because a fault that
    is there from the start must be seen at the start; the bound holds once they are paid for. `step_ratio`: a look
    should not lengthen its own pass by more than this, as long as a smaller effort is left.
    """

    _MARGIN = 1.5
    _FORGET = 0.1

    def __init__(self, budget_ratio: float = 0.01, free_looks: int = 3, step_ratio: float = 0.1) -> None:
        if not 0 <= budget_ratio <= 1:
            raise ValueError(f"budget_ratio: {budget_ratio} is not between 0 and 1")
        self._budget = budget_ratio
        self._free = free_looks
        self._step = step_ratio
        self._credit = 0.0
        self._cost: dict[Effort, float] = {}
        self._pass_seconds = 0.0
        self._recent = (0.0, 0.0)

    def admit(self) -> Effort | None:
        """How much of the next pass to look at; None to let it go by."""
        if self._budget == 0:
            return None
        if self._free > 0:
            return EFFORTS[0]
        for effort in EFFORTS:
            cost = self._expected(effort)
            fits = cost <= self._step * self._pass_seconds or effort is EFFORTS[-1]
            if fits and cost * self._MARGIN <= self._budget * WINDOW_SECONDS:
                return effort if cost * self._MARGIN <= self._credit else None
        return None

    def passed(self, forward_seconds: float, spent_seconds: float = 0.0, effort: Effort | None = None) -> None:
        """Account for a pass, looked at (with its effort) or not. `forward_seconds` without what was spent."""
        known = self._pass_seconds
        self._pass_seconds = forward_seconds if not known else known + self._FORGET * (forward_seconds - known)
        earned = self._budget * forward_seconds
        self._credit = min(self._credit + earned, self._budget * WINDOW_SECONDS) - spent_seconds
        keep = max(1 - forward_seconds / WINDOW_SECONDS, 0.0)
        self._recent = (self._recent[0] * keep + forward_seconds, self._recent[1] * keep + spent_seconds)
        if effort is not None:
            self._free = max(self._free - 1, 0)
            old = self._cost.get(effort, spent_seconds)
            self._cost[effort] = max(spent_seconds, old + self._FORGET * (spent_seconds - old))

    @property
    def overhead_ratio(self) -> float:
        """Own time over forward time, over the last ten seconds of it, older passes fading."""
        forward, spent = self._recent
        return spent / forward if forward > 0 else 0.0

    def _expected(self, effort: Effort) -> float:
        """Seconds that a look of this effort will take: as measured, else in proportion to one that was."""
        known = self._cost.get(effort)
        if known is not None:
            return known
        largest = max((cost / other.size for other, cost in self._cost.items()), default=0.0)
        smallest = min((cost for other, cost in self._cost.items() if other.size >= effort.size), default=0.0)
        return min(largest * effort.size, smallest) if smallest else largest * effort.size
