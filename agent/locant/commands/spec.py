"""Commands about the SLO spec: compile it, check it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from locant.commands.checking import check_syntax, live_warnings
from locant.commands.inputs import SPEC_FILE, report_warnings
from locant.kubernetes.sidecar import CONFIG_MAP, IMAGE, Injection

if TYPE_CHECKING:
    from locant_slo.load import Diagnostic
    from locant_slo.spec import Spec

FILES, KUBERNETES = "files", "kubernetes"


@click.command()
@click.argument("target", type=click.Choice([FILES, KUBERNETES]), default=FILES)
@SPEC_FILE
@click.option("-o", "--output", default=None, help=f"Folder for the generated files; default out, or {KUBERNETES}.")
@click.option("--container", "containers", multiple=True, default=["model"], help="kubernetes: the model's container.")
@click.option("--image", default=IMAGE, show_default=True, help="kubernetes: the agent's image.")
def generate(target: str, path: str, output: str | None, containers: tuple[str, ...], image: str) -> None:
    """Write rules, their tests, Alertmanager routing, dashboards and runbooks from a spec: all of them, or none.

    locant generate kubernetes: the same for the Prometheus operator and Grafana's sidecar container, and the agent to
    put beside models, as one folder for kubectl apply -k.
    """
    from locant.generate import compile_all, left_behind, write_all
    from locant.kubernetes.cluster import cluster_files
    from locant_slo.load import load_specs

    specs = load_specs(Path(path))
    check_syntax(path, specs)
    if target == KUBERNETES:
        files = cluster_files(specs, Injection(image=image, containers=containers, config_map=CONFIG_MAP))
    else:
        files = compile_all(specs)
    report_warnings(_warnings(path, specs))
    folder = output or {FILES: "out"}.get(target, target)
    write_all(files, Path(folder))
    for old in left_behind(files, Path(folder)):
        click.echo(f"note: {old}: was generated once and not now; delete it, unless another spec makes it", err=True)
    click.echo(f"wrote {len(files)} files to {folder}")


@click.command()
@SPEC_FILE
@click.option("--config.file", "config", default=None, help="Also check an agent configuration.")
@click.option("--prometheus", "url", default=None, help="Also check against the series of a running Prometheus.")
def check(path: str, config: str | None, url: str | None) -> None:
    """Say whether a spec and a configuration hold, without writing anything."""
    from locant.generate import compile_all
    from locant_slo.load import load_specs

    specs = load_specs(Path(path))
    check_syntax(path, specs)
    warnings = _warnings(path, specs)
    warnings += live_warnings(path, specs, url) if url else []
    files = compile_all(specs)
    report_warnings(warnings)
    click.echo(f"{path}: {sum(len(spec.objectives) for spec in specs)} objectives, {len(files)} files would be written")
    if config is not None:
        from locant.sidecar.config import load_config

        load_config(Path(config))
        click.echo(f"{config}: holds")


def _warnings(path: str, specs: Sequence[Spec]) -> list[Diagnostic]:
    """What is doubtful in each, with the service where there are several."""
    from locant_slo.load import diagnose

    where = {spec.service: path if len(specs) == 1 else f"{path}: {spec.service}" for spec in specs}
    return [warning for spec in specs for warning in diagnose(spec, where[spec.service])]
