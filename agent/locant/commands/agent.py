"""Commands about the agent: run it, put it beside a program or into a pod, ask what it found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from locant.commands.inputs import read_text
from locant.kubernetes.sidecar import IMAGE, Injection

if TYPE_CHECKING:
    from locant.sidecar.config import AgentConfig


@click.command()
@click.option("--config.file", "path", default=None, help="YAML file; the environment wins over it, flags over both.")
@click.option("--web.listen-address", "web_listen_address", default=None, help="host:port of the metrics page.")
@click.option("--web.config.file", "web_config_file", default=None, help="TLS and passwords, exporter-toolkit format.")
@click.option("--socket.path", "socket_path", default=None, help="Where the probes connect.")
@click.option("--socket.mode", "socket_mode", default=None, help="Who may connect, in octal: 0660.")
@click.option("--state.path", "state_path", default=None, help="Keep release statistics here across restarts.")
@click.option("--snapshot.path", "snapshot_path", default=None, help="Keep the pass that shows a finding here.")
@click.option("--otlp.endpoint", "otlp_endpoint", default=None, help="Push OTLP metrics here as well.")
@click.option("--log.format", "log_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def agent(path: str | None, log_format: str, **flags: str | None) -> None:
    """Run the agent as a process of its own, fed by probes through a Unix socket."""
    from locant.daemon import Daemon
    from locant.logs import configure_logging
    from locant.sidecar.config import load_config
    from locant.signals import obey_signals

    overrides = {name: value for name, value in flags.items() if value is not None}

    def read() -> AgentConfig:
        return load_config(path, overrides, os.environ)

    configure_logging(log_format)
    daemon = Daemon(read(), read)
    obey_signals(daemon)
    daemon.run(lambda address: click.echo(f"locant agent: metrics at {address}"))


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--socket.path", "socket", default=None, help="The agent's socket; without one the agent is in process.")
@click.option("--web.listen-address", "listen", default=None, help="host:port of the metrics page, without a socket.")
@click.option("--model.version", "version", default=None, help="The release that is served.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], **told: str | None) -> None:
    """Run a program and watch every transformers model that it loads: locant run -- python serve.py"""
    from locant.run import become, environment

    become(command, environment(os.environ, **told))


@click.command()
@click.option("-f", "--file", "path", required=True, help="A manifest with pods; - reads standard input.")
@click.option("--container", "containers", multiple=True, help="The model's container; all of them if not given.")
@click.option("--image", default=IMAGE, show_default=True, help="The agent's image.")
@click.option("--config-map", default=None, help="ConfigMap with locant.yaml; locant-config is the generated one.")
def inject(path: str, containers: tuple[str, ...], image: str, config_map: str | None) -> None:
    """Print a Kubernetes manifest with the agent in every pod, as a native sidecar. Doing it twice changes nothing."""
    from locant.kubernetes.inject import inject as inject_text

    options = Injection(image=image, containers=containers, config_map=config_map)
    click.echo(inject_text(read_text(path), options, path), nl=False)
