"""A kept pass as one HTML page: no script, no style sheet, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from locant.show.drawing import heat_svg, matrix_svg, positions_svg
from locant.show.matrices import matrices
from locant.show.scale import GREY, hexed, of_mass
from locant.show.tables import Grid, grids, holds, layer_grids
from locant.sidecar.kept.passes import KeptPass

_FEW_LAYERS = 4
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #1c1c1c }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin-top: 2rem }
div { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid #ddd; white-space: nowrap }
polyline { stroke-width: 2; stroke-linecap: round } svg text { font-size: 12px; fill: #555 }
figure { display: inline-block; vertical-align: top; margin: 0 1rem 1rem 0; width: 12rem } .few figure { width: 24rem }
figcaption { font-size: .85rem; color: #555 }
svg.heat { border: 1px solid #ccc; width: 100%; display: block } summary { cursor: pointer; font-weight: 600 }
.what { font-size: 1.1rem } .small { color: #555 } .key { display: inline-block; width: 1.4rem; height: .8rem }
"""


def page(kept: KeptPass) -> str:
    """The page."""
    finding = kept.finding
    name = f"{finding.check} on {finding.model} {finding.model_version}"
    parts = [
        f"<h1>{escape(name)}</h1>",
        f'<p class="small">{finding.id}, {finding.severity.value}, {finding.failure_mode.value} '
        f"{escape(finding.failure_mode.word)}</p>",
        f'<p class="what">{escape(finding.message)}</p>',
        f'<p class="small">{holds(kept)}</p>',
        *_positions(kept),
        *_heat(kept),
        *_statistics(kept),
        *map(_table, grids(kept)),
        *_layers(kept),
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(name)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _positions(kept: KeptPass) -> Iterable[str]:
    curves = positions_svg(kept.facts)
    if curves:
        yield f"<h2>Effective positions of the first {len(kept.facts.positions)} rows</h2><div>{curves}</div>"


def _heat(kept: KeptPass) -> Iterable[str]:
    maps = [layer for layer in kept.layers if layer.heat_bins]
    if maps:
        keys = "".join(
            f'<span class="key" style="background: {hexed(of_mass(mass))}"></span> {mass:g} &nbsp;'
            for mass in (0.01, 0.06, 0.25, 0.5, 1.0)
        )
        yield (
            "<h2>Where sampled queries (downwards) attend (rightwards)</h2>"
            f'<p class="small">From the first token at the top left to the last. Share of a query bin: {keys}'
            f'<span class="key" style="background: {hexed(GREY)}"></span> no row sampled</p>'
        )
        yield _figures([(f"layer {one.layer}, head {one.heat_head}", heat_svg(one)) for one in maps])


def _statistics(kept: KeptPass) -> Iterable[str]:
    """A matrix of each statistic; those that are one number everywhere in words."""
    found = list(matrices(kept))
    telling = [one for one in found if not one.is_even]
    if telling:
        same = "; ".join(one.told for one in found if one.is_even)
        said = f"White to dark blue as each says.{f' The same everywhere: {same}.' if same else ''}"
        yield "<h2>Means over sampled rows, by layer (downwards) and head (rightwards)</h2>"
        yield f'<p class="small">{said}</p>'
        yield _figures([(one.told, matrix_svg(one)) for one in telling])


def _figures(drawn: list[tuple[str, str]]) -> str:
    """Small multiples."""
    figures = "".join(f"<figure>{svg}<figcaption>{escape(said)}</figcaption></figure>" for said, svg in drawn)
    return f'<div class="{"few" if len(drawn) <= _FEW_LAYERS else "many"}">{figures}</div>'


def _layers(kept: KeptPass) -> Iterable[str]:
    """Every head's numbers; folded away where there are many."""
    found = list(layer_grids(kept))
    for grid in found:
        folded = f"<details><summary>{escape(grid.title)}</summary>{_cells(grid)}</details>"
        yield _table(grid) if len(found) <= _FEW_LAYERS else folded


def _table(grid: Grid) -> str:
    return f"<h2>{escape(grid.title)}</h2>{_cells(grid)}"


def _cells(grid: Grid) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in grid.heads)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(value)}</td>' for value in line)}</tr>\n" for line in grid.lines)
    return f"<div><table><tr>{heads}</tr>\n{lines}</table></div>"
