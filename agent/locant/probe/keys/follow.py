"""What is done about keys on the agent's thread: which position the newest cached key carries, row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.observation import ABSENT, KeyFacts, RowFacts
from locant.probe.keys.match import Carried, Known, alike, carried
from locant.probe.keys.sighting import Sighting, shown
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
        proven = None
        told = before if sighting is not None and before and before.pass_number == sighting.then.pass_number else None
        if sighting is not None and told is not None and "keys.now" in arrived:
            proven = _proven(sighting, arrived, told.rows, rows)
            if proven is None:
                found = self._read(sighting, _shown(state, arrived), arrived, told.rows, rows)
        self._written[state.cache_id] = self._after(state, rows[:ROWS], before, proven)
        while len(self._written) > CACHES:
            del self._written[next(iter(self._written))]
        return found

    def _after(self, state: Pass, rows: Rows, before: Written | None, proven: Sequence[Places] | None) -> Written:
        cached, queries = state.cached if isinstance(state.cached, int) else None, state.call.queries
        goes_on = before is not None and cached is not None and before.tokens == cached
        known = before.rows if before is not None and goes_on else proven
        old = known if known is not None and len(known) == len(rows) else [[] for _ in rows]
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
        self,
        sighting: Sighting,
        open_columns: Tensor | None,
        arrived: Mapping[str, Tensor],
        written: Sequence[Places],
        rows: Rows,
    ) -> KeyFacts | None:
        now, then = arrived["keys.now"][:, sighting.slot], arrived["keys.then"]
        starts = [row.first_position for row in rows[: len(now)]]
        open_ = [True] * len(starts) if open_columns is None else open_columns.expand(len(starts)).tolist()
        if _explained(now, then, written, starts, open_):
            return None
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
        others = [kept for i, kept in enumerate(known) if i != row]
        return carried(key, known[row], others, start, self._frequencies)


def _shown(state: Pass, arrived: Mapping[str, Tensor]) -> Tensor | None:
    """bool [rows]: whether the mask lets the key be seen that is looked at; None without a mask."""
    columns = arrived.get("keys.shown")
    if columns is None and state.call.mask_rank and "mask" in arrived:
        found = shown(state.call, state.cached, arrived["mask"])
        columns = torch.cat(found) if found else None
    return columns.bool().all(0) if columns is not None else None


def _proven(
    sighting: Sighting, arrived: Mapping[str, Tensor], written: Sequence[Places], rows: Rows
) -> list[Places] | None:
    """What the slots before a call were written with, where every row's keys are, bit for bit, those that were written
    just before where the call starts; None where that is not so.

    What goes on, and what goes on after a rollback, is told by this alone; all else takes a hundred times as long.
    """
    then, now = arrived["keys.then"], arrived["keys.now"][:, : sighting.slot + 1]
    starts = [row.first_position for row in rows[: len(now)]]
    if not len(now) == len(then) == len(written) == len(starts) or not starts:
        return None
    if any(start - 1 not in places for places, start in zip(written, starts, strict=True)):
        return None
    ends = [places.index(start - 1) + 1 for places, start in zip(written, starts, strict=True)]
    back = len(written[0]) - ends[0]
    stand = then.shape[1] - back
    shared = min(ends[0], stand, now.shape[1])
    alike = all(len(places) - end == back for places, end in zip(written, ends, strict=True))
    if not alike or shared < 1 or not now[:, -shared:].equal(then[:, stand - shared : stand]):
        return None
    return [places[:end][-shared:] for places, end in zip(written, ends, strict=True)]


def _explained(
    now: Tensor, then: Tensor, written: Sequence[Places], starts: Sequence[int], open_: Sequence[bool]
) -> bool:
    """Whether each row's key is like one, of any row, that was written where the call's start wants it or nobody knows
    where: what `carried` would find row by row."""
    places = [place for row in written for place in _last(row, then.shape[1])]
    if len(written) != len(then) or len(places) != then.shape[0] * then.shape[1]:
        return False
    near = alike(now.double()[:, None], then.double().flatten(0, 1)[None]).tolist()
    return all(
        start == ABSENT
        or not seen
        or any(close and place in (None, start - 1) for close, place in zip(row, places, strict=True))
        for row, start, seen in zip(near, starts, open_, strict=True)
    )


def _last(places: Places, count: int) -> Places:
    """The newest places, as many as there are keys, the newest last."""
    newest = places[-count:]
    return [*[None] * (count - len(newest)), *newest]


def _known(keys: Tensor, places: Places) -> list[Known]:
    """Keys and positions of one row's newest slots, both newest last."""
    return [Known(key, place) for key, place in zip(keys, _last(places, len(keys)), strict=True)]
