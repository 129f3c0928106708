"""What the three boards share: identity, tags, links, variables, time."""

from __future__ import annotations

from collections.abc import Iterable

from grafanalib import core as G  # noqa: N812

from locant_dashboards import variables
from locant_dashboards.grafana import Dashboard, Section, lay_out
from locant_dashboards.queries import Queries
from locant_slo import names
from locant_slo.spec import Spec

TAG = "locant"
_REFRESH_INTERVALS = ["30s", "1m", "5m", "15m", "1h"]


def frame(
    spec: Spec,
    board: str,
    title: str,
    description: str,
    sections: Iterable[Section],
    *,
    more_variables: Iterable[G.Template] = (),
    start: str = "now-6h",
) -> Dashboard:
    """A board with the variables, links and tags that all boards have, and marks of releases that a probe reports."""
    release = variables.release(spec) if spec.probe else []
    templates = [variables.datasource(), *release, *variables.groups(spec), *more_variables]
    return Dashboard(
        title=f"Locant / {title} / {spec.service}",
        description=description,
        uid=names.dashboard_uid(board, spec.service),
        tags=[TAG, spec.service, board],
        panels=lay_out(sections),
        templating=G.Templating(list=templates),
        annotations=G.Annotations(list=[variables.deploys(Queries(spec))] if spec.probe else []),
        links=_links(spec),
        time=G.Time(start, "now"),
        timePicker=G.TimePicker(refreshIntervals=list(_REFRESH_INTERVALS), timeOptions=[]),
        refresh="1m",
        timezone="browser",
        graphTooltip=G.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
    )


def _links(spec: Spec) -> list[G.DashboardLink]:
    boards = G.DashboardLink(title="Locant boards", tags=[TAG, spec.service], includeVars=True, keepTime=True)
    return [boards, runbooks(spec)]


def runbooks(spec: Spec) -> G.DashboardLink:
    """The link to the runbooks' folder."""
    return G.DashboardLink(
        title="Runbooks", type="link", icon="doc", uri=spec.runbook_url, targetBlank=True, keepTime=False
    )


def runbook(spec: Spec, name: str) -> G.DashboardLink:
    """The link to one runbook, for a panel's header."""
    return G.DashboardLink(
        title="Runbook",
        type="link",
        icon="doc",
        uri=f"{spec.runbook_url.rstrip('/')}/{name}.md",
        targetBlank=True,
        keepTime=False,
    )
