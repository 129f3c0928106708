"""The command line: where the parts meet, and the only place that prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from locant import __version__
from locant_slo.errors import ConfigError, LocantError, MachineError

if TYPE_CHECKING:
    from locant.sidecar.config import AgentConfig
    from locant_slo.load import Diagnostic

BAD_INPUT = 2
SPEC = click.option(
    "-f", "--file", "path", default="slo.yaml", show_default=True, help="The SLO spec, or a folder of them."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="locant")
def cli() -> None:
    """Positional observability for transformers: probe, SLIs, alerts, dashboards."""


@cli.command()
@click.option("--keep", is_flag=True, help="Leave everything up for a look until Ctrl-C.")
@click.option("--fast", is_flag=True, help="Shorter phases: for a smoke test.")
@click.option("--plain", is_flag=True, help="Plain lines instead of a live screen.")
def demo(keep: bool, fast: bool, plain: bool) -> None:
    """Serve a real model, break its positions, and watch a real alert fire."""
    from locant.demo.run import run_demo
    from locant.extras import require

    require("demo", "torch", "transformers", "safetensors")
    sys.exit(run_demo(keep=keep, fast=fast, plain=plain))


@cli.command()
@SPEC
@click.option("-o", "--output", default="out", show_default=True, help="Folder for the generated files.")
def generate(path: str, output: str) -> None:
    """Write rules, their tests, Alertmanager routing, dashboards and runbooks from a spec: all of them, or none."""
    from locant.generate import compile_all, write_all
    from locant_slo.load import diagnose, load_specs

    specs = load_specs(Path(path))
    files = compile_all(specs)
    _report([warning for spec in specs for warning in diagnose(spec, path)])
    write_all(files, Path(output))
    click.echo(f"wrote {len(files)} files to {output}")


@cli.command()
@SPEC
@click.option("--config.file", "config", default=None, help="Also check an agent configuration.")
def check(path: str, config: str | None) -> None:
    """Say whether a spec and a configuration hold, without writing anything."""
    from locant.generate import compile_all
    from locant_slo.load import diagnose, load_specs

    specs = load_specs(Path(path))
    warnings = [warning for spec in specs for warning in diagnose(spec, path)]
    files = compile_all(specs)
    _report(warnings)
    click.echo(f"{path}: {sum(len(spec.objectives) for spec in specs)} objectives, {len(files)} files would be written")
    if config is not None:
        from locant.sidecar.config import load_config

        load_config(Path(config))
        click.echo(f"{config}: holds")


@cli.command()
@SPEC
@click.option("--slo", "name", required=True, help="The objective's name in the spec.")
@click.option("--csv", "history", required=True, help="Columns time, events, bad and, where known, incident.")
def backtest(path: str, name: str, history: str) -> None:
    """Replay recorded traffic through an objective's alerts: when they fire, precision, recall, budget spent."""
    from locant_alerts.backtest import render, score
    from locant_alerts.history import read_csv
    from locant_slo.load import load_specs

    objectives = {objective.name: objective for spec in load_specs(Path(path)) for objective in spec.objectives}
    if name not in objectives:
        raise ConfigError(f"{path}: has no objective {name!r}; choose one of {', '.join(sorted(objectives))}")
    traffic, incidents = read_csv(Path(history))
    click.echo(render(score(objectives[name], traffic, incidents)), nl=False)


@cli.command()
@click.option("--config.file", "path", default=None, help="YAML file; the environment wins over it, flags over both.")
@click.option("--web.listen-address", "web_listen_address", default=None, help="host:port of the metrics page.")
@click.option("--web.config.file", "web_config_file", default=None, help="TLS and passwords, exporter-toolkit format.")
@click.option("--socket.path", "socket_path", default=None, help="Where the probes connect.")
@click.option("--socket.mode", "socket_mode", default=None, help="Who may connect, in octal: 0660.")
@click.option("--state.path", "state_path", default=None, help="Keep release statistics here across restarts.")
@click.option("--otlp.endpoint", "otlp_endpoint", default=None, help="Push OTLP metrics here as well.")
@click.option("--log.format", "log_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def agent(path: str | None, log_format: str, **flags: str | None) -> None:
    """Run the agent as a process of its own, fed by probes through a Unix socket."""
    from locant.daemon import Daemon, obey_signals
    from locant.logs import configure_logging
    from locant.sidecar.config import load_config

    overrides = {name: value for name, value in flags.items() if value is not None}

    def read() -> AgentConfig:
        return load_config(path, overrides, os.environ)

    configure_logging(log_format)
    daemon = Daemon(read(), read)
    obey_signals(daemon)
    daemon.run(lambda address: click.echo(f"locant agent: metrics at {address}"))


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--socket.path", "socket", default=None, help="The agent's socket; without one the agent is in process.")
@click.option("--web.listen-address", "listen", default=None, help="host:port of the metrics page, without a socket.")
@click.option("--model.version", "version", default=None, help="The release that is served.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], **told: str | None) -> None:
    """Run a program and watch every transformers model that it loads: locant run -- python serve.py"""
    from locant.run import become, environment

    become(command, environment(os.environ, **told))


@cli.command()
@click.option("-f", "--file", "path", required=True, help="A manifest with pods; - reads standard input.")
@click.option("--container", "containers", multiple=True, help="The model's container; all of them if not given.")
@click.option("--image", default=None, help="The agent's image.")
def inject(path: str, containers: tuple[str, ...], image: str | None) -> None:
    """Print a Kubernetes manifest with the agent in every pod, as a native sidecar. Doing it twice changes nothing."""
    from locant.kubernetes import Injection
    from locant.kubernetes import inject as inject_text

    options = Injection(containers=containers, **({"image": image} if image else {}))
    click.echo(inject_text(_read_text(path), options, path), nl=False)


@cli.command()
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


@cli.command()
@click.argument("model")
@click.option("--device", default="cpu", show_default=True, help="Where to run it.")
@click.option("--static", is_flag=True, help="Without the golden answers: the model is not run.")
def fingerprint(model: str, device: str, static: bool) -> None:
    """Print the positional manifest of the model in folder MODEL: parameters, tables, phases, golden answers."""
    from locant.manifest import write_manifest
    from locant.models import load_model
    from locant.probe.fingerprint import fingerprint as take

    click.echo(write_manifest(take(load_model(Path(model), device), golden=not static)), nl=False)


@cli.command()
@click.argument("url", default="http://127.0.0.1:9466")
@click.option("--json", "as_json", is_flag=True, help="As the agent sent it.")
def findings(url: str, as_json: bool) -> None:
    """Show what a running agent has found, worst first. Exit status 1 when something pages or opens a ticket."""
    from locant.reading import fetch_findings, render_findings

    page = fetch_findings(url)
    click.echo(page.text if as_json else render_findings(page.findings))
    sys.exit(1 if any(finding["severity"] != "info" for finding in page.findings) else 0)


@cli.command()
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


def _read_text(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}); name a readable file") from error


def _report(diagnostics: Sequence[Diagnostic]) -> None:
    for diagnostic in diagnostics:
        click.echo(f"{diagnostic.severity}: {diagnostic.path}: {diagnostic.sentence}", err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a fault of the user's input is one sentence and exit status 2."""
    try:
        cli.main(args=list(arguments) if arguments is not None else None, prog_name="locant")
    except LocantError as error:
        click.echo(f"locant: {error}", err=True)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
