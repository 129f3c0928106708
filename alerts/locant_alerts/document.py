"""A document of headings, paragraphs, tables and pictures, as Markdown or as a page of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from locant_alerts import markdown
from locant_alerts.pictures import page
from locant_alerts.pictures.svg import svg
from locant_alerts.pictures.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a part."""

    words: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Table | Timeline | str
"""A string is a paragraph."""


@dataclass(frozen=True, slots=True)
class Document:
    """A title and what follows. Pictures are for the page only."""

    title: str
    blocks: Sequence[Block]

    @property
    def pictures(self) -> list[Timeline]:
        """In their order."""
        return [block for block in self.blocks if isinstance(block, Timeline)]


def render_markdown(document: Document) -> str:
    """Markdown that also reads well in a terminal."""
    parts = [_as_markdown(block) for block in document.blocks if not isinstance(block, Timeline)]
    return "\n\n".join([f"# {document.title}", *parts]) + "\n"


def _as_markdown(block: Heading | Table | str) -> str:
    if isinstance(block, Heading):
        return f"## {block.words}"
    return markdown.table(block.head, block.rows) if isinstance(block, Table) else block


def render_html(document: Document) -> str:
    """A page that needs nothing else."""
    return page.page(document.title, [_as_html(block) for block in document.blocks])


def _as_html(block: Block) -> str:
    if isinstance(block, Timeline):
        return page.heading(block.title) + svg(block)
    if isinstance(block, Heading):
        return page.heading(block.words)
    return page.table(block.head, block.rows) if isinstance(block, Table) else page.paragraph(block)


def rendered(document: Document, path: Path) -> str:
    """As the ending of `path` asks for: `.html`, or Markdown."""
    return render_html(document) if path.suffix == ".html" else render_markdown(document)
