"""Commands about a model: ask it questions, take its positional manifest, compare two releases."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("model")
@click.option("--device", default="cpu", show_default=True, help="Where to run it.")
@click.option("--save", default=None, help="Write the results here, as the reference for `locant gate`.")
@click.option(
    "--suite", default=None, help="YAML file with questions and identities; the label-free ones if not given."
)
def canary(model: str, device: str, save: str | None, suite: str | None) -> None:
    """Ask the model in folder MODEL questions that only intact positions answer right."""
    from locant.canary.command import run_canary
    from locant.canary.suite import LABEL_FREE, load_suite

    chosen = load_suite(Path(suite)) if suite else LABEL_FREE
    report = run_canary(Path(model), device=device, save=Path(save) if save else None, suite=chosen)
    click.echo(report.text)
    sys.exit(0 if report.healthy else 1)


@click.command()
@click.argument("model")
@click.option("--device", default="cpu", show_default=True, help="Where to run it.")
@click.option("--static", is_flag=True, help="Without the golden answers: the model is not run.")
def fingerprint(model: str, device: str, static: bool) -> None:
    """Print the positional manifest of the model in folder MODEL: parameters, tables, phases, golden answers."""
    from locant.manifest import write_manifest
    from locant.models import load_model

    loaded = load_model(Path(model), device)  # says in a sentence when torch is missing, so it comes before the probe
    from locant.probe.fingerprint import fingerprint as take

    click.echo(write_manifest(take(loaded, golden=not static)), nl=False)


@click.command()
@click.argument("reference", type=click.Path(dir_okay=False))
@click.argument("candidate", type=click.Path(dir_okay=False))
def gate(reference: str, candidate: str) -> None:
    """Compare two releases by what `locant canary --save` or `locant fingerprint` wrote of them.

    Exit status 0 go on, 1 stop, 3 too little evidence.
    """
    from locant.canary.gate import gate_files
    from locant.manifest import compare, is_manifest, read_manifest

    if is_manifest(Path(reference)):
        changes = compare(read_manifest(Path(reference)), read_manifest(Path(candidate)))
        for change in changes:
            click.echo(f"{'harmful' if change.harmful else 'harmless'}: {change.sentence}")
        if not changes:
            click.echo("nothing positional changed")
        sys.exit(1 if any(change.harmful for change in changes) else 0)
    verdict = gate_files(Path(reference), Path(candidate))
    click.echo(verdict.sentence)
    sys.exit({"pass": 0, "fail": 1}.get(verdict.outcome, 3))
