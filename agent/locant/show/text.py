"""A kept pass as text for a terminal."""

from __future__ import annotations

from locant.show.tables import Grid, grids
from locant.sidecar.kept.passes import KeptPass


def text(kept: KeptPass) -> str:
    """The finding's sentence and every table."""
    finding = kept.finding
    head = f"{finding.id}  {finding.severity.value}  {finding.failure_mode.value}  {finding.check}  "
    head += f"{finding.model} {finding.model_version}"
    return "\n\n".join([f"{head}\n{finding.message}", *map(_table, grids(kept))])


def _table(grid: Grid) -> str:
    columns = zip(grid.heads, *grid.lines, strict=True)
    widths = [max(map(len, column)) for column in columns]
    lines = ["  ".join(value.rjust(width) for value, width in zip(line, widths, strict=True)) for line in
             (grid.heads, *grid.lines)]  # fmt: skip
    return "\n".join([grid.title, *lines])
