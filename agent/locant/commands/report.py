"""The command that writes the weekly error-budget review."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from locant.commands.inputs import DURATION, HEADER, MOMENT, SPEC_FILE, chosen_objective, chosen_spec
from locant_slo.errors import ConfigError

if TYPE_CHECKING:
    from locant_alerts.review.report import Review


@click.command()
@SPEC_FILE
@click.option("--prometheus", default=None, help="Address of a Prometheus, Thanos, Mimir or VictoriaMetrics.")
@click.option("--header", "headers", multiple=True, type=HEADER, help="For the Prometheus, as in 'X-Scope-OrgID: ml'.")
@click.option("--csv", default=None, help="File with columns time, events and bad, for the objective in --slo.")
@click.option("--slo", default=None, help="Only this objective (of a file with one service, all of them if not given).")
@click.option("--period", default="7d", type=DURATION, show_default=True, help="The time under review.")
@click.option("--until", type=MOMENT, help="Its end: 2026-11-20T10:00:00Z or Unix seconds; now if not given.")
@click.option("--output", default=None, help="Write it here, .html with pictures or .md, and not to standard output.")
def report(path: str, headers: tuple[tuple[str, str], ...], output: str | None, **asked: Any) -> None:
    """Write the error-budget review: kept and spent, alerts, worst hours, releases, findings."""
    from locant.generate import write_all
    from locant_alerts.document import render_markdown, rendered
    from locant_alerts.review.report import review_document

    if output is not None and Path(output).suffix not in {".html", ".md"}:
        raise ConfigError(f"--output {output}: is neither .html nor .md; name one of them")
    document = review_document(_review(path, dict(headers), **asked))
    if output is None:
        click.echo(render_markdown(document), nl=False)
    else:
        write_all({Path(output).name: rendered(document, Path(output))}, Path(output).parent)
        click.echo(f"written to {output}", err=True)


def _review(
    path: str,
    headers: dict[str, str],
    *,
    prometheus: str | None,
    csv: str | None,
    slo: str | None,
    period: int,
    until: float | None,
) -> Review:
    from locant.reviewing import Period, review_csv, review_prometheus

    if (prometheus is None) == (csv is None):
        raise ConfigError("name exactly one of --prometheus and --csv")
    if prometheus is not None:
        when = Period(period, time.time() if until is None else until)
        return review_prometheus(prometheus, headers, chosen_spec(path, slo), when)
    if slo is None:
        raise ConfigError("--csv holds the counts of one objective; name it with --slo")
    return review_csv(Path(str(csv)), *chosen_objective(path, slo), period)
