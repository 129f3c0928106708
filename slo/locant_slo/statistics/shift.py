"""How far a mean moved between two releases."""

from __future__ import annotations


def mean_shift(total: float, rows: int, reference_total: float, reference_rows: int, minimum_rows: int) -> float | None:
    """Mean minus reference mean, from sums; None while either side has fewer than `minimum_rows` rows to judge."""
    if min(rows, reference_rows) < max(minimum_rows, 1):
        return None
    return total / rows - reference_total / reference_rows
