"""A kept pass as one HTML page: no script, no style sheet, no picture from elsewhere."""

from __future__ import annotations

from html import escape

from locant.show.drawing import heat_svg, positions_svg
from locant.show.tables import Grid, grids
from locant.sidecar.kept.passes import KeptPass

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c1c1c }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin-top: 2rem }
div { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid #ddd; white-space: nowrap }
polyline { stroke-width: 2; stroke-linecap: round } svg text { font-size: 12px; fill: #555 }
svg.heat { border: 1px solid #ccc } .what { font-size: 1.1rem } .small { color: #555 }
"""


def page(kept: KeptPass) -> str:
    """The page."""
    finding, facts = kept.finding, kept.facts
    name = f"{finding.check} on {finding.model} {finding.model_version}"
    parts = [
        f"<h1>{escape(name)}</h1>",
        f'<p class="small">{finding.id}, {finding.severity.value}, {finding.failure_mode.value} '
        f"{escape(finding.failure_mode.word)}</p>",
        f'<p class="what">{escape(finding.message)}</p>',
    ]
    curves = positions_svg(facts)
    if curves:
        parts.append(f"<h2>Effective positions of the first {len(facts.positions)} rows</h2><div>{curves}</div>")
    for layer in kept.layers:
        if layer.heat_bins:
            parts.append(
                f"<h2>Layer {layer.layer}, head {layer.heat_head}: where sampled queries (downwards) attend</h2>"
                f"<div>{heat_svg(layer)}</div>"
            )
    parts += map(_table, grids(kept))
    if not kept.layers:
        parts.append('<p class="small">No pass of this finding was looked at closely: attention is sampled.</p>')
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(name)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _table(grid: Grid) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in grid.heads)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(value)}</td>' for value in line)}</tr>\n" for line in grid.lines)
    return f"<h2>{escape(grid.title)}</h2><div><table><tr>{heads}</tr>\n{lines}</table></div>"
