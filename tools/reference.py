"""Writes the reference pages that are made from the code. With `--check`, says what differs and exits with 1."""

from __future__ import annotations

import pathlib
import sys

from locant_slo.catalogue.page import render_page
from locant_slo.spec_page import render_spec_page

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = {"docs/reference/metrics.md": render_page, "docs/reference/slo.md": render_spec_page}


def main(arguments: list[str]) -> int:
    """Write or check every page."""
    stale = []
    for name, render in PAGES.items():
        path = ROOT / name
        if "--check" in arguments:
            if not path.exists() or path.read_text() != render():
                stale.append(name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render())
    for name in stale:
        sys.stderr.write(f"{name} differs from the code; run `make reference`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
