"""The command that pins a reference: what good looked like, out of what a sidecar has measured."""

from __future__ import annotations

from pathlib import Path

import click

from locant.sidecar.saved import PARTS


@click.command()
@click.argument("reference", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--config.file", "config", default=None, help="The agent's: its state_path and minimums hold here too.")
@click.option(
    "--state.path", "state_path", default=None, help="The agent's state; else its pod's, where it lies there."
)
@click.option("--model", default=None, help="Which model, where several are there.")
@click.option("--model.version", "version", default=None, help="Which release, where several are there.")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="This part alone; may be repeated.")
@click.option("--force", is_flag=True, help="Replace what REFERENCE holds of this model.")
@click.option("--despite-findings", is_flag=True, help="Also a release with findings that page.")
def pin(
    reference: str,
    config: str | None,
    state_path: str | None,
    model: str | None,
    version: str | None,
    parts: tuple[str, ...],
    force: bool,
    despite_findings: bool,
) -> None:
    """Write what a running sidecar has measured of a release to the file REFERENCE, for later releases to be compared
    with; - prints it. The agent is only read, from its state file.

    Exit status 2, and nothing written, when there is too little evidence or REFERENCE holds this model already.
    """
    from locant.kubernetes.sidecar import STATE_FILE
    from locant.pinning import chosen_release, pin_of, placed, refuse_findings, report
    from locant.sidecar.config import load_config
    from locant.sidecar.references import References
    from locant.sidecar.state_file import read_state

    settings = load_config(config, {"state_path": state_path} if state_path else None)
    state = read_state(settings.state_path or Path(STATE_FILE))
    release = chosen_release(state, model, version)
    if not despite_findings:
        refuse_findings(state, release)
    pinned = pin_of(release, settings, parts)
    if reference == "-":
        click.echo(References().with_model(pinned.model, pinned.reference).model_dump_json(indent=1))
    else:
        placed(pinned, Path(reference), force=force).save(reference)
    for line in report(pinned):
        click.echo(line, err=reference == "-")
