"""Attention maps, heads and layers."""

from __future__ import annotations

from locant_dashboards.ask import over_time, rows
from locant_dashboards.grafana import Heatmap, Line, Table, TimeSeries, matrix
from locant_dashboards.queries import RELEASE, Queries
from locant_slo import promql
from locant_slo.catalogue import Metric, metrics
from locant_slo.catalogue import labels as la


def maps(q: Queries) -> Line:
    """The attention map in focus: now, and over time."""
    heads = {label: f"~${label.name}" for label in (la.LAYER, la.HEAD)}
    heat = q.one(metrics.HEAD_HEAT, heads)
    both = promql.grouping((la.QUERY_BIN, la.KEY_BIN))
    keys = promql.grouping((la.KEY_BIN,))
    square = matrix(
        row=la.QUERY_BIN.name,
        column=la.KEY_BIN.name,
        title="Attention map of the chosen layers and heads",
        description="Mean attention mass from queries (rows) to keys (columns), by where in the sequence they sit: "
        "0.00 is the beginning. A causal model has nothing right of the diagonal. The agent maps one layer and head, "
        "its focus; choose them above.",
        unit="percentunit",
        decimals=1,
        color="continuous-BlYlRd",
        minimum=0,
        targets=[rows(f"avg {both} ({heat})")],
    )
    history = Heatmap(
        title="Where the chosen heads look, over time",
        description="Mean attention mass by key position over all queries. A band that moves is a head that changed.",
        unit="none",
        cell_unit="percentunit",
        layout="ge",
        targets=[over_time(f"avg {keys} ({heat})", la.KEY_BIN)],
    )
    return Line((square, history), height=12)


def heads(q: Queries) -> Line:
    """Padding attention and entropy of every head."""
    padding = _by_head(
        q.gauge("max", metrics.HEAD_PADDING_MASS, (la.LAYER, la.HEAD)),
        "Padding attention per head",
        "Mean attention mass on padding; rows are layers, columns heads. Healthy is 0 everywhere.",
        "percentunit",
    )
    entropy = _by_head(
        q.gauge("avg", metrics.HEAD_ENTROPY, (la.LAYER, la.HEAD)),
        "Attention entropy per head",
        "Mean attention entropy in nats; rows are layers, columns heads. Near 0 the head looks at one token.",
        "none",
    )
    return Line((padding, entropy), height=12)


def _by_head(expr: str, title: str, description: str, unit: str) -> Table:
    return matrix(
        row=la.LAYER.name,
        column=la.HEAD.name,
        title=title,
        description=description,
        unit=unit,
        decimals=2,
        minimum=0,
        color="continuous-BlYlRd",
        targets=[rows(expr)],
    )


def spread(q: Queries) -> Line:
    """Entropy by layer, and the heads in which it changed."""
    entropy = _by_layer(
        q, metrics.ATTENTION_ENTROPY, "Entropy by layer", "Mean attention entropy of the sampled rows, in nats."
    )
    relative = _by_layer(
        q,
        metrics.ATTENTION_RELATIVE_ENTROPY,
        "Relative entropy by layer",
        "Entropy over the log of the visible keys: 1 looks at all of them alike, 0 at one. Comparable across lengths.",
        unit="percentunit",
    )
    changed = TimeSeries(
        title="Heads with changed entropy",
        description="Heads whose entropy disagrees with the reference release.",
        unit="none",
        decimals=0,
        targets=[over_time(q.gauge("max", metrics.ENTROPY_HEADS_CHANGED, RELEASE), *RELEASE)],
    )
    return Line((entropy, relative, changed))


def places(q: Queries) -> Line:
    """Which keys the weight goes to, and how far away they are."""
    mass = q.rate(metrics.ATTENTION_MASS, (la.STATISTIC,))
    statistics = TimeSeries(
        title="Where attention goes",
        description="Mean attention mass of the sampled rows, all layers. Padding, other requests (cross), the future "
        "and what lies beyond a window should be 0.",
        unit="percentunit",
        targets=[
            over_time(f"{mass} / on () group_left () ({q.rate(metrics.ATTENTION_ROWS)} > 0)", la.STATISTIC),
        ],
    )
    distance = _by_layer(
        q,
        metrics.ATTENTION_DISTANCE,
        "Attended distance by layer",
        "Mean distance in tokens between a query and what it attends to.",
    )
    logs = _by_layer(
        q,
        metrics.ATTENTION_LOG_DISTANCE,
        "Log distance by layer",
        "Mean log of the distance in tokens plus one: what a few far keys do not dominate. 2.3 is nine tokens back.",
    )
    return Line((statistics, distance, logs))


def _by_layer(q: Queries, metric: Metric, title: str, description: str, unit: str = "none") -> TimeSeries:
    by = (la.LAYER,)
    targets = [over_time(q.per_row(metric, by), *by, called="layer")]
    return TimeSeries(title=title, description=description, unit=unit, targets=targets)
