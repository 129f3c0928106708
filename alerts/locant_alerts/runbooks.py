"""The runbooks that the annotations point to."""

from __future__ import annotations

from pathlib import Path

from locant_slo.errors import MachineError

_HERE = Path(__file__).resolve().parent


def runbooks() -> dict[str, str]:
    """File name to Markdown text. An installed package carries them inside, a checkout beside it."""
    for folder in (_HERE / "runbooks", _HERE.parent / "runbooks"):
        found = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
        if found:
            return found
    raise MachineError(f"{_HERE}: the runbooks are missing; install the package again")
