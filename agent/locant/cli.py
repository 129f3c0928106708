"""The command line: where the parts meet. Its commands are in `commands/`; they and this page are all that prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from locant import __version__
from locant.commands import agent, findings, model, spec
from locant.commands.backtest import backtest
from locant.commands.interop import export, import_
from locant.commands.pin import pin
from locant.commands.report import report
from locant_slo.errors import LocantError

BAD_INPUT = 2


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


for command in (
    spec.generate,
    spec.check,
    import_,
    export,
    backtest,
    report,
    agent.agent,
    agent.run,
    agent.inject,
    findings.findings,
    pin,
    model.canary,
    model.fingerprint,
    model.gate,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a fault of the user's input is one sentence and exit status 2."""
    try:
        cli.main(args=list(arguments) if arguments is not None else None, prog_name="locant")
    except LocantError as error:
        click.echo(f"locant: {error}", err=True)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
