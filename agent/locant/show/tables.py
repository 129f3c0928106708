"""The numbers of a kept pass as tables, for text and page alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from locant.observation import ABSENT, AttentionFacts, RowFacts
from locant.sidecar.kept.passes import STATISTICS, KeptPass

NOTHING = "–"
"""Stands where a fact could not be observed."""
_ROW_FIELDS = tuple(name for name in RowFacts._fields if name != "first_token_hash")


@dataclass(frozen=True, slots=True)
class Grid:
    """A titled table of text."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def grids(kept: KeptPass) -> Iterator[Grid]:
    """The pass, its rows, and the statistics of each layer that was looked at."""
    facts = kept.facts
    told = {
        "phase": facts.phase,
        "pass": facts.pass_number,
        "tokens per row": facts.queries,
        "mask": {0: "none", 2: "2-D"}.get(facts.mask_rank, f"{facts.mask_rank}-D"),
        "position ids given": facts.positions_given,
        "seconds": facts.duration_seconds,
        "trace": facts.trace_id or NOTHING,
    }
    yield Grid("Pass", tuple(told), (tuple(map(cell, told.values())),))
    yield _rows(facts.rows)
    for layer in kept.layers:
        if layer.rows:
            yield _layer(layer)


def cell(value: object) -> str:
    """One value as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else NOTHING if value == ABSENT else str(value)


def _rows(rows: Sequence[RowFacts]) -> Grid:
    """Rows of the batch; facts that no row has are left out."""
    shown = [name for name in _ROW_FIELDS if any(getattr(row, name) != ABSENT for row in rows)]
    lines = tuple((str(index), *(cell(getattr(row, name)) for name in shown)) for index, row in enumerate(rows))
    return Grid("Rows", ("row", *(name.replace("_", " ") for name in shown)), lines)


def _layer(layer: AttentionFacts) -> Grid:
    """Means over the sampled rows, a line a head; what an older release did not keep is left out."""
    heads = layer.heads or tuple(range(len(layer.entropy)))
    told = [name for name in STATISTICS if getattr(layer, name)]
    lines = tuple(
        (str(head), *(cell(getattr(layer, name)[place] / layer.rows) for name in told))
        for place, head in enumerate(heads)
    )
    title = f"Layer {layer.layer}: means over {layer.rows} sampled rows"
    return Grid(title, ("head", *(name.replace("_", " ") for name in told)), lines)
