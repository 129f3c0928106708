"""A kept pass as text for a terminal."""

from __future__ import annotations

from locant.show.tables import Grid, grids, holds, layer_grids, summary_grid
from locant.sidecar.kept.passes import KeptPass

_FEW_LAYERS = 4


def text(kept: KeptPass) -> str:
    """The finding's sentence, what is kept, and tables: of every head for few layers, of every layer for many."""
    finding = kept.finding
    head = f"{finding.id}  {finding.severity.value}  {finding.failure_mode.value}  {finding.check}  "
    head += f"{finding.model} {finding.model_version}"
    parts = [f"{head}\n{finding.message}\n{holds(kept)}", *map(_table, grids(kept))]
    layers = list(layer_grids(kept))
    if len(layers) > _FEW_LAYERS:
        parts += [_table(summary_grid(kept)), "Every head and the heat maps: -o pass.html, or -o pass.safetensors"]
    else:
        parts += map(_table, layers)
    return "\n\n".join(parts)


def _table(grid: Grid) -> str:
    columns = zip(grid.heads, *grid.lines, strict=True)
    widths = [max(map(len, column)) for column in columns]
    lines = ["  ".join(value.rjust(width) for value, width in zip(line, widths, strict=True)) for line in
             (grid.heads, *grid.lines)]  # fmt: skip
    return "\n".join([grid.title, *lines])
