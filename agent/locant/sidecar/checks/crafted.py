"""Positions that no honest request has (F6)."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import ABSENT, RowFacts
from locant.sidecar.checks.hit import Hit, Pass, first
from locant.sidecar.ledger import RowState
from locant_slo.findings import FailureMode, Severity

EXCESS = 2
"""Video prompts spread positions somewhat beyond their token count; a factor of two leaves them alone."""
UNKNOWN_LENGTH = 2**17
"""Taken for the trained length where the model does not say one."""
EXACT_FLOAT32 = 2**24
"""From here on float32 cannot tell neighbouring positions apart, whatever the scheme."""


def crafted_positions(seen: Pass) -> Iterator[Hit]:
    """Negative positions, positions spread far beyond the tokens that carry them, positions beyond float32."""
    for problem, wrong in _problems(seen).items():
        row = seen.rows[wrong[0]]
        yield Hit(
            "crafted_positions",
            FailureMode.CRAFTED_INPUT,
            Severity.PAGE,
            f"{problem.format(row=row)} in {len(wrong)} of {len(seen.rows)} rows. No honest request has that. Usual "
            "cause: an unchecked number from a request (video interval, frame rate, offset) reaches the position "
            "ids. Reject the request at admission and bound the value.",
            {
                "rows": first(wrong),
                "lowest_position": row.min_position,
                "highest_position": row.max_position,
                "real_tokens": row.real,
                "tokens_before": row.real_before,
                "trained_tokens": seen.profile.trained_tokens,
            },
            frozenset(wrong),
        )


def _problems(seen: Pass) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for i, (row, state) in enumerate(zip(seen.rows, seen.states, strict=True)):
        problem = (
            _problem(row, state, seen) if row.real > 0 and ABSENT not in (row.min_position, row.max_position) else ""
        )
        if problem:
            found.setdefault(problem, []).append(i)
    return found


def _problem(row: RowFacts, state: RowState | None, seen: Pass) -> str:
    if row.min_position < 0:
        return "Negative position {row.min_position}"
    if row.max_position >= EXACT_FLOAT32:
        return "Position {row.max_position}, which float32 cannot tell from its neighbour,"
    tokens = max(row.real_before, 0) + row.real
    reach = row.max_position - row.min_position + 1
    if reach > EXCESS * max(tokens, seen.profile.trained_tokens or UNKNOWN_LENGTH) and not seen.facts.packed:
        return "Positions {row.min_position} to {row.max_position} for {row.real} tokens"
    return ""
