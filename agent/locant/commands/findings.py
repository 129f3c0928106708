"""Commands about findings: list what a running agent has found, show the pass that was kept for one."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from locant.commands.inputs import HEADER


class ListByDefault(click.Group):
    """`locant findings URL` is `locant findings list URL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ListByDefault)
def findings() -> None:
    """List what a running agent has found, or show the pass that was kept for a finding."""


@findings.command(name="list")
@click.argument("url", default="http://127.0.0.1:9466")
@click.option("--json", "as_json", is_flag=True, help="As the agent sent it.")
@click.option("--header", "headers", multiple=True, type=HEADER, help="As in 'Authorization: Basic bWU6c2VjcmV0'.")
def list_findings(url: str, as_json: bool, headers: tuple[tuple[str, str], ...]) -> None:
    """Show what a running agent has found, worst first. Exit status 1 when something pages or opens a ticket."""
    from locant.reading import fetch_findings, render_findings

    page = fetch_findings(url, dict(headers))
    click.echo(page.text if as_json else render_findings(page.findings))
    sys.exit(1 if any(finding["severity"] != "info" for finding in page.findings) else 0)


@findings.command()
@click.argument("finding", required=False)
@click.option("--snapshot.path", "path", required=True, envvar="LOCANT_SNAPSHOT_PATH", help="The agent's store.")
@click.option("-o", "--output", default=None, help="Write it here: .html, .png, or .safetensors for numpy and torch.")
def show(finding: str | None, path: str, output: str | None) -> None:
    """Show the pass that was kept for FINDING, the id that `locant findings` prints; without one, what is kept."""
    from locant.show.command import show_entries, show_pass

    store = Path(path)
    click.echo(show_entries(store) if finding is None else show_pass(store, finding, Path(output) if output else None))
