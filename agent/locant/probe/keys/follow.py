"""What is done about keys on the agent's thread: which position the newest cached key carries, row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from locant.observation import ABSENT, KeyFacts, RowFacts
from locant.probe.keys.match import Carried, Known, carried
from locant.probe.keys.sighting import Sighting
from locant.probe.keys.tail import CACHES, ROWS, SLOTS
from locant.probe.passes import Pass

Places = list[int | None]
Rows = Sequence[RowFacts]


@dataclass(frozen=True, slots=True)
class Written:
    """Positions of the newest tokens of a cache's rows as a pass left them; None where one is not known."""

    pass_number: int
    tokens: int | None
    rows: tuple[Places, ...]


class KeyFollower:
    """Follows the positions that went into the last caches, and reads those that come out of them.

    `frequencies` gives the rotary frequencies in use, for keys that were turned since. `several_axes`: M-RoPE, where
    only text says which position follows.
    """

    def __init__(self, frequencies: Callable[[], Sequence[Tensor]], *, several_axes: bool) -> None:
        self._frequencies = frequencies
        self._several_axes = several_axes
        self._written: dict[int, Written] = {}

    def take(self, state: Pass, rows: Rows, arrived: Mapping[str, Tensor]) -> KeyFacts | None:
        """Note what a pass wrote. What stood in its cache before that, when it was compared and there is more to say
        than that the keys are where they were written and lead up to the call."""
        if not state.keys_seen:
            return None
        before = self._written.pop(state.cache_id, None) or self._written.get(state.cache_parent)
        sighting, found = state.sighting, None
        told = before if sighting is not None and before and before.pass_number == sighting.then.pass_number else None
        if sighting is not None and told is not None and "keys.now" in arrived:
            found = self._read(sighting, arrived, told.rows, rows)
        self._written[state.cache_id] = self._after(state, rows[:ROWS], before)
        while len(self._written) > CACHES:
            del self._written[next(iter(self._written))]
        return found

    def _after(self, state: Pass, rows: Rows, before: Written | None) -> Written:
        cached, queries = state.cached if isinstance(state.cached, int) else None, state.call.queries
        goes_on = before is not None and cached is not None and before.tokens == cached
        old = before.rows if before is not None and goes_on and len(before.rows) == len(rows) else [[] for _ in rows]
        new = (self._places(row, queries) for row in rows)
        kept = tuple([*past, *places][-SLOTS:] for past, places in zip(old, new, strict=True))
        return Written(state.number, cached + queries if cached is not None else None, kept)

    def _places(self, row: RowFacts, queries: int) -> Places:
        """Positions of a call's newest slots, as far as the facts of its row tell."""
        count = min(queries, SLOTS)
        unknown: Places = [None] * count
        told = row.real > 0 and row.right_pads <= 0 and row.last_position != ABSENT
        if not told or (self._several_axes and row.last_position != row.max_position):
            return unknown
        if row.jumps or row.resets or row.mask_holes > 0:
            return [*unknown[1:], row.last_position]
        run = min(row.real, count)
        return [*unknown[run:], *range(row.last_position - run + 1, row.last_position + 1)]

    def _read(
        self, sighting: Sighting, arrived: Mapping[str, Tensor], written: Sequence[Places], rows: Rows
    ) -> KeyFacts | None:
        now, then, shown = arrived["keys.now"][:, sighting.slot], arrived["keys.then"], arrived.get("keys.shown")
        starts = [row.first_position for row in rows[: len(now)]]
        places = [row[-1] if row else None for row in written]
        if len(now) == len(then) and _in_step(places, starts) and now.equal(then[:, -1]):
            return None
        open_ = [True] * len(starts) if shown is None else shown.bool().all(0).expand(len(starts)).tolist()
        known = [_known(keys, row) for keys, row in zip(then.double(), written, strict=False)]
        found = [
            self._carried(key, i, known, start) if open_[i] and start != ABSENT and i < len(known) else None
            for i, (key, start) in enumerate(zip(now.double(), starts, strict=True))
        ]
        if all(c is None or c.position == c.written == start - 1 for c, start in zip(found, starts, strict=True)):
            return None
        return KeyFacts(
            positions=tuple(ABSENT if c is None or c.position is None else c.position for c in found),
            written=tuple(ABSENT if c is None else c.written for c in found),
        )

    def _carried(self, key: Tensor, row: int, known: Sequence[Sequence[Known]], start: int) -> Carried | None:
        others = [one for i, kept in enumerate(known) if i != row for one in kept]
        return carried(key, known[row], others, start, self._frequencies)


def _in_step(places: Sequence[int | None], starts: Sequence[int]) -> bool:
    return len(places) == len(starts) and all(p is not None and p + 1 == s for p, s in zip(places, starts, strict=True))


def _known(keys: Tensor, places: Places) -> list[Known]:
    """Keys and positions of one row's newest slots, both newest last."""
    missing: Places = [None] * (len(keys) - len(places))
    return [Known(key, place) for key, place in zip(keys, [*missing, *places[-len(keys) :]], strict=True)]
