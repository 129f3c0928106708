"""The command that replays history, or incidents that never happened, through an objective's alerts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from locant.commands.inputs import DURATION, HEADER, MOMENT, SPEC_FILE, chosen_objective
from locant_slo.errors import ConfigError

if TYPE_CHECKING:
    from locant_alerts.document import Document


@click.command()
@SPEC_FILE
@click.option("--slo", "name", required=True, help="The objective's name in the spec.")
@click.option("--prometheus", default=None, help="Address of a Prometheus, Thanos, Mimir or VictoriaMetrics.")
@click.option("--tsdb", default=None, help="Data folder of a Prometheus; promtool reads it.")
@click.option("--csv", default=None, help="File with columns time, events, bad and, where known, incident.")
@click.option("--simulate", multiple=True, help="An incident: step, slow-burn, spike, flapping; also step:0.3@2h.")
@click.option("--rate", "events_per_minute", default=1_000, show_default=True, help="Simulated events a minute.")
@click.option("--noise", "noise_ratio", default=0.0, type=click.FloatRange(0, 1), help="Error ratio of simulated calm.")
@click.option("--over", "over_seconds", type=DURATION, help="How far back to read; default: the objective's window.")
@click.option("--until", "until_seconds", type=MOMENT, help="Where to stop reading; default: now.")
@click.option("--step", "step_seconds", default="1m", type=DURATION, show_default=True, help="Step of the replay.")
@click.option("--incidents", default=None, help="CSV file with columns start and end: when it really was bad.")
@click.option("--header", "headers", multiple=True, type=HEADER, help="For the Prometheus, as in 'X-Scope-OrgID: ml'.")
@click.option("--output", default=None, help="Also draw it: an .html or a .png file.")
def backtest(path: str, name: str, output: str | None, headers: tuple[tuple[str, str], ...], **asked: Any) -> None:
    """Replay traffic through an objective's alerts: detection, reset, precision, recall, budget spent.

    The traffic comes from one of --prometheus, --tsdb, --csv and --simulate (which may be given several times).
    """
    from locant.backtesting import Asked, counted_anyway, read_histories
    from locant_alerts.backtest import check_step
    from locant_alerts.backtest_report import backtest_document
    from locant_alerts.document import render_markdown

    spec, objective = chosen_objective(path, name)
    if output is not None and Path(output).suffix not in {".html", ".png"}:
        raise ConfigError(f"--output {output}: is neither .html nor .png; name one of them")
    if not objective.alerting.enabled:
        raise ConfigError(f"{path}: {name} has alerting.enabled: false, so there is nothing to replay")
    source = Asked(**asked, headers=dict(headers))
    histories = read_histories(source, spec, objective)
    if unknown := counted_anyway(source, spec):
        click.echo(f"note: {unknown}", err=True)
    check_step(objective, histories[0].traffic.step_seconds)
    document = backtest_document(objective, histories)
    click.echo(render_markdown(document), nl=False)
    if output is not None:
        _draw(document, Path(output))


def _draw(document: Document, output: Path) -> None:
    from locant.generate import write_all
    from locant_alerts.document import rendered
    from locant_alerts.pictures.png import write_png

    if output.suffix == ".png":
        write_png(document.pictures, output)
    else:
        write_all({output.name: rendered(document, output)}, output.parent)
    click.echo(f"drawn in {output}", err=True)
