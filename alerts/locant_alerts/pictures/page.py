"""An HTML page that needs nothing else: no script, no font, no address; light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --soft: #667; --line: #d8dbe2; --paper: #fff; --curve: #1f5fbf;
  --page: #c62828; --ticket: #d98200; --shade: #c628281a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ee; --soft: #9aa0b0; --line: #343946; --paper: #14171e;
  --curve: #7fb0ff; --page: #ff6b60; --ticket: #ffb84d; --shade: #ff6b6026; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); }
.wide { overflow-x: auto; } .bad { color: var(--page); } .soft { color: var(--soft); }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .note { fill: var(--soft); } svg .head { font-weight: 600; }
svg .grid { stroke: var(--line); } svg .limit { stroke: var(--ticket); stroke-dasharray: 5 4; }
svg .curve { stroke: var(--curve); stroke-width: 1.5; fill: none; }
svg .page, svg .incident { fill: var(--page); } svg .ticket { fill: var(--ticket); } svg .shade { fill: var(--shade); }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole document; `parts` are HTML already."""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def paragraph(words: str) -> str:
    """Plain words as a paragraph."""
    return f"<p>{escape(words)}</p>"


def heading(words: str) -> str:
    """Plain words as a heading below the title."""
    return f"<h2>{escape(words)}</h2>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain words as a table."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>\n<tr>{top}</tr>\n{body}\n</table></div>'
