"""Commands for specs of others: OpenSLO and Sloth, in and out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from locant.commands.inputs import SPEC_FILE, read_text

if TYPE_CHECKING:
    from locant_slo.interop.exporting import Format
    from locant_slo.interop.place import Note


@click.command("import")
@click.argument("path")
def import_(path: str) -> None:
    """Print the slo.yaml that an OpenSLO v1 or a Sloth prometheus/v1 FILE stands for; - reads standard input.

    What could not be carried over, or can be read in two ways, is said on standard error with its path.
    """
    from locant_slo.interop.importing import import_text

    found = import_text(read_text(path), path)
    _say(path, found.notes)
    click.echo(found.text, nl=False)


@click.command()
@SPEC_FILE
@click.option("--format", "form", type=click.Choice(["openslo", "sloth"]), required=True)
def export(path: str, form: Format) -> None:
    """Print a spec as OpenSLO v1 or as Sloth prometheus/v1; what the format cannot hold is said on standard error."""
    from locant_slo.interop.exporting import export_specs
    from locant_slo.load import load_specs

    found = export_specs(load_specs(Path(path)), form)
    _say(path, found.notes)
    click.echo(found.text, nl=False)


def _say(path: str, notes: Iterable[Note]) -> None:
    for note in notes:
        click.echo(f"note: {path}: {note.path}: {note.sentence}", err=True)
