"""Positions that do not count: all the same, or rounded by a coarse number format."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import RowFacts
from locant.sidecar.checks.hit import Hit, Pass, first, known, rows_text
from locant_slo.findings import FailureMode, Severity

_FEWEST = 3


def positions_frozen(seen: Pass) -> Iterator[Hit]:
    """Three or more real tokens of one row at one single position."""
    found = {i: row for i, row in enumerate(seen.rows) if _judged(row, seen) and row.min_position == row.max_position}
    if not found or seen.facts.across:  # then columns are sequences, and rows are what is across them
        return
    row = next(iter(found.values()))
    yield Hit(
        "positions_frozen",
        FailureMode.BATCH_MIXUP,
        Severity.PAGE,
        f"All {row.real} tokens of {rows_text(found, len(seen.rows))} sit at position {row.min_position}: the model "
        "cannot tell their order. Usual cause: position_ids of zeros, or one row's position broadcast over the "
        "sequence. Number each token.",
        {"rows": first(found), "position": row.min_position, "real_tokens": row.real},
        frozenset(found),
    )


def attention_across_rows(seen: Pass) -> Iterator[Hit]:
    """Positions count along the rows of the batch, and attention runs down its columns."""
    counted = [i for i, row in enumerate(seen.rows) if _judged(row, seen) and row.repeats == 0]
    if not seen.facts.across or len(counted) < len(seen.rows):
        return
    rows, tokens = len(seen.rows), seen.facts.queries
    yield Hit(
        "attention_across_rows",
        FailureMode.BATCH_MIXUP,
        Severity.PAGE,
        f"Each token attends to the {rows} tokens that stand at its place in other rows, and to none of its own row, "
        f"whose {tokens} positions count on: requests are mixed and order is lost. Usual cause: a torch attention "
        "module without batch_first=True is handed [batch, sequence, width].",
        {"rows": rows, "queries": tokens, "pass": seen.facts.pass_number},
        all_rows=True,
    )


def positions_rounded(seen: Pass) -> Iterator[Hit]:
    """Steps of zero and of more than one that cancel out: numbering that passed through a half-precision type."""
    found = {i: row for i, row in enumerate(seen.rows) if _judged(row, seen) and _rounded(row)}
    if not found or seen.profile.scheme == "mrope":
        return
    row = next(iter(found.values()))
    yield Hit(
        "positions_rounded",
        FailureMode.PRECISION,
        Severity.PAGE,
        f"Positions {row.first_position} to {row.last_position} repeat {row.repeats} times and skip as often, yet "
        f"end where they should ({rows_text(found, len(seen.rows))}): they were rounded. Usual cause: position_ids "
        "kept in bfloat16 (exact up to 256) or float16 (up to 2048). Keep them in int64.",
        {
            "rows": first(found),
            "repeats": row.repeats,
            "jumps": row.jumps,
            "first": row.first_position,
            "last": row.last_position,
        },
        frozenset(found),
    )


def _judged(row: RowFacts, seen: Pass) -> bool:
    numbered = known(row.min_position, row.max_position, row.first_offset, row.last_offset)
    return row.real >= _FEWEST and numbered and not (seen.facts.packed or seen.facts.mask_rank == 4 or row.resets > 0)


def _rounded(row: RowFacts) -> bool:
    """Repeats and skips, and an end that is off by less than one skip: what rounding to a coarse grid leaves."""
    skips = row.jumps - row.repeats
    if row.repeats < 4 or skips < 2 or row.last_position <= row.first_position:
        return False
    return abs(row.last_offset - row.first_offset) <= (row.last_position - row.first_position) / skips
