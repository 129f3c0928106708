"""Short words for the three kinds of query that panels ask."""

from __future__ import annotations

from locant_dashboards.grafana import PromTarget
from locant_dashboards.queries import legend
from locant_slo.catalogue import Label


def over_time(expr: str, *labels: Label | str, called: str = "", exemplar: bool = False) -> PromTarget:
    """A range query whose series are named by the values of `labels`, after the word `called`."""
    name = " ".join(part for part in (called, legend(*labels)) if part)
    return PromTarget(expr=expr, legendFormat=name or "__auto", exemplar=exemplar)


def now(expr: str, *labels: Label | str, called: str = "") -> PromTarget:
    """The newest value of each series, named like `over_time`."""
    name = " ".join(part for part in (called, legend(*labels)) if part)
    return PromTarget(expr=expr, legendFormat=name or "__auto", instant=True)


def rows(expr: str) -> PromTarget:
    """The newest values as rows of a table, a column per label."""
    return PromTarget(expr=expr, instant=True, format="table")


def buckets(expr: str) -> PromTarget:
    """Cumulative buckets by `le`, for a heat map."""
    return PromTarget(expr=expr, legendFormat=legend("le"), format="heatmap")
