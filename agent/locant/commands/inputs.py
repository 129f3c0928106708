"""What several commands take or say: the spec option, a manifest from a file or a pipe, warnings on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from locant_slo.errors import MachineError

if TYPE_CHECKING:
    from locant_slo.load import Diagnostic

SPEC_FILE = click.option(
    "-f", "--file", "path", default="slo.yaml", show_default=True, help="The SLO spec, or a folder of them."
)


def read_text(path: str) -> str:
    """The text of a file, or of standard input for `-`. Raises MachineError when it cannot be read."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}); name a readable file") from error


def report_warnings(diagnostics: Sequence[Diagnostic]) -> None:
    """Say each warning on standard error, a line each."""
    for diagnostic in diagnostics:
        click.echo(f"{diagnostic.severity}: {diagnostic.path}: {diagnostic.sentence}", err=True)
