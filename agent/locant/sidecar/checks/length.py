"""Positions beyond the table or beyond what the model was trained for (F1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from locant.observation import ABSENT, RowFacts
from locant.sidecar.checks.hit import Hit, Pass, first, rows_text
from locant.sidecar.ledger import RowState
from locant_slo.findings import FailureMode, Severity

_EXTRAPOLATING = frozenset({"alibi", "relative_bias", "none"})
_LOOKUP_ERRORS = frozenset({"IndexError", "AcceleratorError", "RuntimeError", "ValueError", "AssertionError"})
"""What a lookup beyond the end raises, and what models raise that compare the length with their table themselves."""


def table_overflow(seen: Pass) -> Iterator[Hit]:
    """A position at or beyond the table's last row; from what the host knows before the call where the call failed."""
    table = _table(seen)
    if table is None or seen.facts.table_growths or (table.scheme == "sinusoidal" and not seen.facts.error):
        return
    limit = table.table_rows
    beyond = {
        i: r.max_position for i, r in enumerate(seen.rows) if table.judged and r.real > 0 and r.max_position >= limit
    }
    planned = _planned(table, seen)
    if not (beyond or _failed_beyond(limit, planned, seen)):
        return
    highest = max(beyond.values()) if beyond else planned
    whose = rows_text(beyond, len(seen.rows)) if beyond else "the call"
    effect = f"The call raised {seen.facts.error}. " if seen.facts.error else ""
    yield Hit(
        "table_overflow",
        FailureMode.LENGTH_OVERFLOW,
        Severity.PAGE,
        f"Position {highest} does not exist: the {table.owner}'s positions end at {limit - 1} ({whose}). {effect}Rows "
        "that a longer table was only padded with are empty; beyond the table, a GPU's process is poisoned. "
        f"{_CURES[table.owner]}",
        {
            "highest_position": highest,
            "positions": limit,
            "part": table.owner,
            "rows": first(beyond),
            "error": seen.facts.error,
            "planned_position": planned,
        },
        frozenset(beyond),
        all_rows=not beyond,
    )


_CURES = {
    "model": "Usual cause: prompt plus new tokens longer than the model allows. Limit max_new_tokens or truncate "
    "before the call.",
    "encoder": "Usual cause: an input longer than the encoder's table, which is not the decoder's. Truncate or "
    "split it before the call.",
}


@dataclass(frozen=True, slots=True)
class _Table:
    """The table that a pass numbers its tokens by. `judged`: positions seen are its rows; else only failures tell."""

    owner: str
    scheme: str
    base: int
    table_rows: int
    judged: bool


def _table(seen: Pass) -> _Table | None:
    profile = seen.profile
    if _encoder_of_two(seen):
        own = profile.encoder
        return _Table("encoder", own.scheme, own.base, own.table_rows, judged=True) if own is not None else None
    rows = seen.table_rows
    end = rows if rows is not None else _trained_end(seen)
    return None if end is None else _Table("model", profile.scheme, profile.base, end, judged=rows is not None)


def _encoder_of_two(seen: Pass) -> bool:
    """The profile tells of the decoder's table and length; its encoder has its own."""
    return seen.facts.phase == "encode" and seen.profile.kind == "encoder_decoder"


def _trained_end(seen: Pass) -> int | None:
    return None if seen.profile.trained_tokens is None else seen.profile.trained_tokens + seen.profile.base


def _planned(table: _Table, seen: Pass) -> int | None:
    """The highest position that the host knew of before the call, counted as the table counts."""
    planned = seen.facts.highest_planned_position
    return None if planned is None else planned - seen.profile.base + table.base


def _failed_beyond(limit: int, planned: int | None, seen: Pass) -> bool:
    """The call failed before its positions could be seen, and what the host planned lies beyond the limit."""
    unseen = not any(row.max_position != ABSENT for row in seen.rows)
    return seen.facts.error in _LOOKUP_ERRORS and unseen and planned is not None and planned >= limit


def beyond_trained_length(seen: Pass) -> Iterator[Hit]:
    """A request longer than the trained length: a ticket, or information where the scheme extrapolates."""
    trained = seen.profile.trained_tokens
    if _encoder_of_two(seen):
        return
    if trained is None or (seen.profile.scheme == "learned" and seen.table_rows is not None):
        return
    spans = {i: span(row, state, seen) for i, (row, state) in enumerate(zip(seen.rows, seen.states, strict=True))}
    beyond = {i: found for i, found in spans.items() if found is not None and found > trained}
    if not beyond:
        return
    longest = max(beyond.values())
    harmless = seen.profile.scheme in _EXTRAPOLATING
    judged = (
        "This scheme is meant to extrapolate" if harmless else "Nothing fails, but answers get worse without a word"
    )
    yield Hit(
        "beyond_trained_length",
        FailureMode.LENGTH_OVERFLOW,
        Severity.INFO if harmless else Severity.TICKET,
        f"A request reaches {longest} tokens; {seen.profile.family} was trained for {trained} "
        f"({longest / trained:.2f} times as long, {rows_text(beyond, len(seen.rows))}). {judged}. Limit the length "
        "at admission, or configure the scaling the model was tuned with.",
        {"longest_tokens": longest, "trained_tokens": trained, "ratio": longest / trained, "rows": first(beyond)},
        frozenset(beyond),
    )


def span(row: RowFacts, state: RowState | None, seen: Pass) -> int | None:
    """How far apart the farthest tokens of a request are; in absolute families, how far the highest position reaches.

    Where positions are not seen, the number of tokens. A sliding window bounds what tokens see of each other.
    """
    if row.real <= 0:
        return None
    if ABSENT in (row.max_position, row.min_position):
        return max(row.real_before, 0) + row.real if seen.profile.window is None else None
    if seen.profile.absolute:
        return row.max_position - seen.profile.base + 1
    before = max(row.real_before, 0)
    lowest = row.min_position - before
    if state is not None and state.lowest_position != ABSENT and before > 0:
        lowest = min(state.lowest_position, row.min_position)
    reach = row.max_position - lowest + 1
    alive = before + row.real
    return min(reach, alive) if seen.profile.window is None else min(reach, alive, seen.profile.window)
