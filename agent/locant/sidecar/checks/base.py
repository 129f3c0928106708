"""Absolute families: the first real token must sit where the family's numbering starts."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import ABSENT, RowFacts
from locant.sidecar.checks.hit import Hit, Pass, first, known, rows_text, signed
from locant.sidecar.checks.padding import uncovered
from locant.sidecar.ledger import Move, RowState
from locant_slo.findings import FailureMode, Severity


def absolute_base(seen: Pass) -> Iterator[Hit]:
    """Offset equal to the family's base, where a constant shift of all positions changes the output."""
    profile, facts = seen.profile, seen.facts
    if not profile.absolute or facts.packed or facts.mask_rank == 4:
        return
    wrong = {
        i: row
        for i, (row, state, move) in enumerate(zip(seen.rows, seen.states, seen.moves, strict=True))
        if _applies(row, state, move, seen) and not (_at_base(row, seen) or _behind_open_pads(row, state, seen))
    }
    if not wrong:
        return
    row = next(iter(wrong.values()))
    shift = row.first_offset - profile.base
    padded = all(r.left_pads == r.first_offset - profile.base for r in wrong.values()) and row.left_pads > 0
    yield Hit(
        "absolute_base",
        FailureMode.BATCH_MIXUP,
        Severity.PAGE,
        f"{rows_text(wrong, len(seen.rows)).capitalize()} start {signed(shift)} off the position where "
        f"{profile.family} numbers its first token ({profile.base}): first real token at position "
        f"{row.first_position} with {row.real_before} real tokens before it. Its positions are absolute, so the "
        f"output is wrong. {_cause(padded, shift, row, profile.base)}",
        {
            "rows": first(wrong),
            "first_position": row.first_position,
            "expected_position": row.real_before + profile.base,
            "shift": shift,
            "left_pads": row.left_pads,
            "base": profile.base,
            "position_ids_given": facts.positions_given,
        },
        frozenset(wrong),
    )


def _applies(row: RowFacts, state: RowState | None, move: Move, seen: Pass) -> bool:
    if row.real <= 0 or not known(row.first_offset, row.first_position) or move in (Move.MOVED, Move.RAN_ON):
        return False
    if state is not None and (state.packed or state.suspect_offset is not None) and row.cache_tokens > 0:
        return False
    hidden_cache = "cache" not in seen.facts.seen and row.left_pads <= 0
    return not (hidden_cache and row.first_offset > seen.profile.base)


def _at_base(row: RowFacts, seen: Pass) -> bool:
    """At the base, padding left out of the count or, for callers without a mask, the pad id read as text."""
    if row.first_offset == seen.profile.base:
        return True
    if row.cache_tokens > 0 and not seen.facts.masked and row.cache_tokens != ABSENT:
        return row.first_position - row.cache_tokens - max(row.left_pads, 0) == seen.profile.base
    return not seen.facts.masked and row.first_offset - max(row.left_pads, 0) == seen.profile.base


def _behind_open_pads(row: RowFacts, state: RowState | None, seen: Pass) -> bool:
    """At the base but for padding in the cache that this call's lost mask counts as text: that loss is the finding."""
    if state is None or state.tokens is None or not uncovered(row, state, seen):
        return False
    return row.first_position - (state.tokens - state.masked_pads) == seen.profile.base


def _cause(padded: bool, shift: int, row: RowFacts, base: int) -> str:
    if padded:
        return "The shift equals the left padding: pass position_ids made from the mask (its running sum minus one)."
    if row.first_position == row.real_before and base:
        return f"Numbering starts at 0; this family's starts at {base}. Leave position_ids out or add {base}."
    return (
        "Usual cause: positions carried over from another request. Start each request at the family's first position."
    )
