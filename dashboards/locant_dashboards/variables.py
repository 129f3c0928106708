"""The variables at the top of a board, and the annotation that marks deploys."""

from __future__ import annotations

from typing import Any

from grafanalib import core as G  # noqa: N812

from locant_dashboards.costs import HOURLY_PRICE
from locant_dashboards.grafana import DATASOURCE, PromTarget
from locant_dashboards.queries import CHOSEN, RELEASE, Queries, extra_groups, legend, variable_of
from locant_slo import names, promql
from locant_slo.catalogue import Label, metrics
from locant_slo.catalogue import labels as la
from locant_slo.spec import Spec

_ON_TIME_RANGE_CHANGE = 2
_NUMERIC = 3
_ALPHABETIC = 1
_DEPLOY_AGE = "10m"


def datasource() -> G.Template:
    """Which Prometheus to ask. Every other query of the board refers to it."""
    return G.Template(name="datasource", type="datasource", query="prometheus", label="Data source")


def release(spec: Spec) -> list[G.Template]:
    """The models and releases on show; everything at first."""
    models = promql.selector(metrics.MODEL_INFO, spec.selector)
    releases = promql.selector(metrics.MODEL_INFO, {la.MODEL.name: CHOSEN[la.MODEL.name], **spec.selector})
    return [_label_values(la.MODEL, models, "Model"), _label_values(la.MODEL_VERSION, releases, "Release")]


def groups(spec: Spec) -> list[G.Template]:
    """The values on show of every other label that has budgets of its own; everything at first."""
    budgets = promql.selector(names.BUDGET_REMAINING, {names.SERVICE: spec.service})
    return [
        _label_values(label, budgets, label.replace("_", " ").capitalize(), called=variable_of(label))
        for label in extra_groups(spec)
    ]


def focus(q: Queries) -> list[G.Template]:
    """The layer and head whose attention map is on show."""
    heads = q.one(metrics.HEAD_HEAT, {la.LAYER: f"~${la.LAYER.name}"})
    layer = _label_values(la.LAYER, q.one(metrics.HEAD_HEAT), "Layer", sort=_NUMERIC)
    return [layer, _label_values(la.HEAD, heads, "Head", sort=_NUMERIC)]


def hourly_price() -> G.Template:
    """The price of one accelerator hour, typed in by whoever looks."""
    return G.Template(name=HOURLY_PRICE, type="textbox", query="1", default="1", label="Price of an accelerator hour")


def deploys(q: Queries) -> dict[str, Any]:
    """Marks releases: a positional configuration that was not there ten minutes before.

    The info series is always 1, so `changes()` would never see anything; what changes is which series exists. Pods
    that restart with the same release are no deploy.
    """
    identity = (*RELEASE, _config_hash())
    now = q.one(metrics.MODEL_INFO)
    by = promql.grouping(identity)
    expr = f"max {by} ({now}) unless max {by} ({now} offset {_DEPLOY_AGE})"
    return {
        "datasource": dict(DATASOURCE),
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "name": "Deploys",
        "tagKeys": ",".join(label.name for label in RELEASE),
        "target": PromTarget(expr=expr, legendFormat=legend(*RELEASE), refId="Deploys"),
        "textFormat": f"positional configuration {legend(_config_hash())}",
        "titleFormat": f"New release {legend(*RELEASE)}",
    }


def _config_hash() -> Label:
    return next(label for label in metrics.MODEL_INFO.labels if label.name == "config_hash")


def _label_values(
    label: Label | str, selector: str, title: str, sort: int = _ALPHABETIC, *, called: str = ""
) -> G.Template:
    name = label if isinstance(label, str) else label.name
    query = f"label_values({selector}, {name})"
    return G.Template(
        name=called or name,
        label=title,
        query={"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        dataSource=dict(DATASOURCE),
        includeAll=True,
        multi=True,
        allValue=".*",
        refresh=_ON_TIME_RANGE_CHANGE,
        sort=sort,
    )
