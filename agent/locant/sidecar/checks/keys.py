"""Cached keys that stand elsewhere than the call goes on from: eviction, context shift, restored caches (F4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from locant.observation import ABSENT, KeyFacts, RowFacts
from locant.sidecar.checks.hit import Hit, Pass, first, known, rows_text, signed
from locant.sidecar.ledger import Move, RowState
from locant.sidecar.ledger.moves import MROPE, cache_change, plain_text
from locant_slo.findings import FailureMode, Severity


@dataclass(frozen=True, slots=True)
class Step:
    """Where a row's newest cached key was written, stands now (None: at no position), and where its call starts."""

    written: int
    position: int | None
    start: int


def keys_out_of_step(seen: Pass) -> Iterator[Hit]:
    """The position that the newest cached key carries, plus one, is the first position of the call."""
    found = out_of_step(seen)
    if not found or are_exchanged(found, seen):
        return
    step = next(iter(found.values()))
    yield Hit(
        "keys_out_of_step",
        FailureMode.STREAMING_STATE,
        Severity.PAGE,
        f"{rows_text(found, len(seen.rows)).capitalize()} went on at position {step.start} behind a cached key that "
        f"{_stands(step)}: every distance to what is cached is wrong. Read from the key's own rotation; exact. "
        f"{_cause(step)}",
        {
            "rows": first(found),
            "position": step.start,
            "key_position": step.position,
            "key_written": step.written,
            "shift": None if step.position is None else step.start - step.position - 1,
            "cache_tokens": seen.rows[min(found)].cache_tokens,
            "phase": seen.facts.phase,
        },
        frozenset(found),
    )


def out_of_step(seen: Pass) -> dict[int, Step]:
    """Rows whose newest cached key leads up to another position than the call starts at."""
    return dict(_out_of_step(seen, seen.facts.keys)) if seen.facts.keys is not None else {}


def are_exchanged(found: Mapping[int, Step], seen: Pass) -> bool:
    """Whether a row stands behind a key that it never was left with, as it was written, although nothing left the
    cache: another row's."""
    return any(
        step.position == step.written
        and state is not None
        and step.position != state.last_position
        and cache_change(seen.rows[i], state) == 0
        for i, step in found.items()
        for state in (seen.states[i],)
    )


def _out_of_step(seen: Pass, keys: KeyFacts) -> Iterator[tuple[int, Step]]:
    if seen.facts.packed or seen.facts.mask_rank == 4:
        return
    text_only = seen.profile.scheme == MROPE
    rows = zip(seen.rows, seen.states, seen.moves, keys.positions, keys.written, strict=False)
    for i, (row, state, move, position, written) in enumerate(rows):
        judged = known(written) and _applies(row, state, move) and not (text_only and not plain_text(row))
        if judged and position + 1 != row.first_position:
            yield i, Step(written, None if position == ABSENT else position, row.first_position)


def turned_along(index: int, row: RowFacts, keys: KeyFacts | None) -> bool:
    """Whether a row's newest cached key was turned since it was written, to just before the call's first position."""
    if keys is None or index >= len(keys.positions):
        return False
    position, written = keys.positions[index], keys.written[index]
    return known(position, written) and position != written and position + 1 == row.first_position


def _applies(row: RowFacts, state: RowState | None, move: Move) -> bool:
    """A row that the offset rule has not found wrong already, and that is one running request."""
    running = row.real > 0 and row.real_before != 0 and row.resets <= 0 and known(row.first_position)
    return running and move is not Move.MOVED and not (state is not None and (state.packed or state.open_pads > 0))


def _stands(step: Step) -> str:
    if step.position is None:
        return f"was written at {step.written} and turned since, by no whole number of positions"
    if step.position == step.written:
        return f"still stands at {step.position}, where it was written"
    return f"was written at {step.written} and turned to {step.position} ({signed(step.position - step.written)})"


def _cause(step: Step) -> str:
    if step.position is None:
        return (
            "Usual cause: a context shift that turns cached keys with other frequencies, another channel layout or "
            "too little precision than the model's. Turn them with the model's own rotary parameters."
        )
    if step.position == step.written:
        return (
            "Usual cause: the oldest tokens left the cache and positions were counted anew, but the kept keys were "
            "not turned. Let positions run on, or turn the kept keys by the same amount."
        )
    return (
        "Usual cause: a context shift that turns the kept keys by another amount than it takes back the positions, or "
        f"a cache that was restored shifted. Turn them by {signed(step.start - 1 - step.written)}."
    )
