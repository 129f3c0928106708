"""Positional tables that are rebuilt again and again (F7)."""

from __future__ import annotations

from collections.abc import Iterator

from locant.sidecar.checks.hit import Hit, Pass
from locant_slo.findings import FailureMode, Severity

GROWTHS = 4
WITHIN_PASSES = 32
SMALL_STEP = 1 / 8
"""Doubling, and any growth by a share, stays above it after its first steps; row by row growth falls below at once."""


def is_small_growth(before: int, after: int) -> bool:
    """A growth that will soon have to be repeated."""
    return 0 < before < after < before * (1 + SMALL_STEP)


def table_regrown(seen: Pass) -> Iterator[Hit]:
    """Four small growths within 32 passes, one of them now. Each copies the whole table."""
    if len(seen.growths) < GROWTHS or not any(is_small_growth(*growth) for growth in seen.facts.table_growths):
        return
    before, after = seen.facts.table_growths[-1]
    yield Hit(
        "table_regrown",
        FailureMode.RESOURCE_REGRESSION,
        Severity.TICKET,
        f"A positional table grew {len(seen.growths)} times within {WITHIN_PASSES} passes, now from {before} to "
        f"{after} rows: it is rebuilt for nearly every token, and time per token grows with length. Usual cause: "
        "the table is sized to exactly what is needed. Allocate the trained length at once, or double.",
        {
            "growths": len(seen.growths),
            "rows_before": before,
            "rows_after": after,
            "positional_bytes": seen.facts.positional_bytes,
        },
    )
