"""Commands about the SLO spec: compile it, check it."""

from __future__ import annotations

from pathlib import Path

import click

from locant.commands.inputs import SPEC_FILE, report_warnings


@click.command()
@SPEC_FILE
@click.option("-o", "--output", default="out", show_default=True, help="Folder for the generated files.")
def generate(path: str, output: str) -> None:
    """Write rules, their tests, Alertmanager routing, dashboards and runbooks from a spec: all of them, or none."""
    from locant.generate import compile_all, write_all
    from locant_slo.load import diagnose, load_specs

    specs = load_specs(Path(path))
    files = compile_all(specs)
    report_warnings([warning for spec in specs for warning in diagnose(spec, path)])
    write_all(files, Path(output))
    click.echo(f"wrote {len(files)} files to {output}")


@click.command()
@SPEC_FILE
@click.option("--config.file", "config", default=None, help="Also check an agent configuration.")
def check(path: str, config: str | None) -> None:
    """Say whether a spec and a configuration hold, without writing anything."""
    from locant.generate import compile_all
    from locant_slo.load import diagnose, load_specs

    specs = load_specs(Path(path))
    warnings = [warning for spec in specs for warning in diagnose(spec, path)]
    files = compile_all(specs)
    report_warnings(warnings)
    click.echo(f"{path}: {sum(len(spec.objectives) for spec in specs)} objectives, {len(files)} files would be written")
    if config is not None:
        from locant.sidecar.config import load_config

        load_config(Path(config))
        click.echo(f"{config}: holds")
