"""Which position one cached key carries, given what its row's newest keys were and where they were written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from locant.probe.keys.turns import Turn, apart, readings, span_of

_SAME = 1e-4
"""Squared distance of a key from itself after copying and rounding; one position's turn leaves hundreds of times it."""
_NOISY = 2e-2
"""The same after coarse quantisation: enough to leave a call alone, too much to accuse one."""
_CLEAR = 16
"""Noise falls on phases as on magnitudes; so much more of it in the phases is a turn."""
_SURE = _SAME * (1 + _CLEAR)
_EXACT = 1e-9


@dataclass(frozen=True, slots=True)
class Known:
    """A key as it was remembered, [size], and the position that it was written at (None: not known)."""

    key: Tensor
    place: int | None


@dataclass(frozen=True, slots=True)
class Carried:
    """The position that a cached key carries now (None: it was turned, by no whole number of positions) and the one
    that it was written at."""

    position: int | None
    written: int


def alike(one: Tensor, other: Tensor) -> Tensor:
    """bool: whether keys are the same, but for rounding."""
    return apart(one, other) <= _SAME


def carried(
    now: Tensor,
    own: Sequence[Known],
    others: Sequence[Sequence[Known]],
    start: int,
    frequencies: Callable[[], Sequence[Tensor]],
) -> Carried | None:
    """What the key `now` before a call that starts at `start` carries; None when it is none of those remembered.

    Any explanation that puts the call right counts, from other rows too: beams change places, and layer 0 knows a
    repeated token only by its phase. Where the call goes on from the newest key that was written and an older one
    stands there, the slots were reordered: keys carry their places with them, so that nothing can be told. So it is
    with the key of another row that would go on here.
    """
    strangers = [known for row in others for known in row]
    near = [known for known in (*own, *strangers) if float(apart(now, known.key)) <= _SAME]
    if any(known.place is None for known in near):
        return None
    right = next((known.place for known in near if known.place == start - 1), None)
    if right is not None:
        return Carried(right, right)
    unmoved = [(known.place, row[-1].place) for row in (own, *others) for known in reversed(row) if _equal(now, known)]
    if not unmoved:
        return _turned(now, own, strangers, start, frequencies())
    place, _ = unmoved[0]
    if place is None or any(newest == start - 1 for _, newest in unmoved):
        return None
    return Carried(place, place)


def _equal(now: Tensor, known: Known) -> bool:
    return float(apart(now, known.key)) <= _EXACT


def _turned(
    now: Tensor, own: Sequence[Known], others: Sequence[Known], start: int, frequencies: Sequence[Tensor]
) -> Carried | None:
    mine = _states(now, own, frequencies)
    if not mine:
        return None
    every = _states(now, others, frequencies) + mine
    if any(state.turn.after(start - 1 - state.place) <= state.noise for state in every):
        return Carried(start - 1, mine[-1].place)
    newest = own[-1].place
    if newest is None or any(state.turn.after(start - 1 - newest) <= state.noise for state in mine):
        return None
    found = [(state.turn.nearest(span_of(state.place, start)), state) for state in mine]
    for (turns, remains), state in found:
        if remains <= state.noise <= _SURE:
            return Carried(state.place + turns, state.place)
    sure = [state for (_, remains), state in found if state.noise <= _SURE and remains > _CLEAR * state.noise]
    return Carried(None, sure[-1].place) if sure else None


@dataclass(frozen=True, slots=True)
class _State:
    """The key read as a remembered one that was turned. `noise`: what rounding alone leaves, told by the magnitudes."""

    turn: Turn
    place: int
    noise: float


def _states(now: Tensor, remembered: Iterable[Known], frequencies: Sequence[Tensor]) -> list[_State]:
    """Readings that keep the magnitudes; where some keep them exactly, these alone."""
    found = [
        _State(turn, known.place, _SAME + _CLEAR * turn.reshaped)
        for known in remembered
        if known.place is not None
        for turn in readings(now, known.key, frequencies)
        if turn.reshaped <= _NOISY
    ]
    exact = [state for state in found if state.turn.reshaped <= _SAME]
    return exact or found
