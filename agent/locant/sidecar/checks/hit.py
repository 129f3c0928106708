"""What a check gets and what it gives: a pass with everything known about it, and a hit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from locant.observation import ABSENT, ForwardFacts, ModelProfile, RowFacts
from locant.sidecar.ledger import Move, RowState
from locant_slo.findings import FailureMode, Severity

SHOWN_ROWS = 8


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass beside what the ledger knew of its rows. `table_rows` and `growths` are the model's by now."""

    profile: ModelProfile
    facts: ForwardFacts
    states: tuple[RowState | None, ...]
    moves: tuple[Move, ...]
    parameters_hash: int | None = None
    table_rows: int | None = None
    growths: tuple[int, ...] = ()

    @property
    def rows(self) -> tuple[RowFacts, ...]:
        """The pass's rows."""
        return self.facts.rows


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing wrong with a pass. `rows` are those it names; `all_rows`: the pass or the model as a whole."""

    check: str
    mode: FailureMode
    severity: Severity
    message: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    rows: frozenset[int] = frozenset()
    all_rows: bool = False


Check = Callable[[Pass], Iterable[Hit]]


def known(*values: int) -> bool:
    """Whether every fact could be observed."""
    return ABSENT not in values


def first(rows: Iterable[int]) -> list[int]:
    """A short, sorted list of row numbers for the evidence."""
    return sorted(rows)[:SHOWN_ROWS]


def rows_text(rows: Iterable[int], total: int) -> str:
    """`row 2`, `rows 0, 2 and 5` or `40 of 64 rows`."""
    found = sorted(rows)
    if len(found) == 1:
        return f"row {found[0]}" if total > 1 else "the sequence"
    if len(found) > SHOWN_ROWS:
        return f"{len(found)} of {total} rows"
    return "rows " + ", ".join(map(str, found[:-1])) + f" and {found[-1]}"


def signed(number: int) -> str:
    """A number with its sign."""
    return f"{number:+d}"
