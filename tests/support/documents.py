"""Blocks of code in the documentation, so that tests run what the pages show."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page: str, heading: str, language: str = "python") -> list[str]:
    """The blocks of that language below a heading of a page, in order, without their indentation."""
    text = (DOCS / page).read_text()
    [section] = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for code in re.findall(rf"^```{language}\n(.*?)^```$", section, re.M | re.S)]
