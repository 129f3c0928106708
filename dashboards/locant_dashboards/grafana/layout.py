"""Where panels stand: sections of lines on Grafana's grid of 24 columns, computed, so that nothing overlaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import attr
from grafanalib import core as G  # noqa: N812

from locant_dashboards.grafana.panel import ModernPanel

COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side, `height` units of 30 pixels tall; equally wide where `widths` says nothing else."""

    panels: tuple[ModernPanel, ...]
    height: int = 8
    widths: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A titled row with lines of panels below it."""

    title: str
    lines: tuple[Line, ...]


def lay_out(sections: Iterable[Section]) -> list[G.Panel]:
    """All rows and panels with their grid positions, top to bottom. Raises ValueError when a line is too wide."""
    placed: list[G.Panel] = []
    top = 0
    for section in sections:
        placed.append(G.RowPanel(title=section.title, gridPos=G.GridPos(h=1, w=COLUMNS, x=0, y=top)))
        top += 1
        for line in section.lines:
            placed.extend(_place(line, top))
            top += line.height
    return placed


def _place(line: Line, top: int) -> Iterator[G.Panel]:
    widths = line.widths or (COLUMNS // len(line.panels),) * len(line.panels)
    if len(widths) != len(line.panels) or sum(widths) > COLUMNS:
        raise ValueError(f"a line of {len(line.panels)} panels cannot have the widths {widths}; give {COLUMNS} in all")
    left = 0
    for panel, width in zip(line.panels, widths, strict=True):
        yield attr.evolve(panel, gridPos=G.GridPos(h=line.height, w=width, x=left, y=top))
        left += width
