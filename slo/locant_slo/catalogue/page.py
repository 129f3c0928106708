"""The reference page of the catalogue, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from locant_slo.catalogue.labels import Label
from locant_slo.catalogue.metric import Metric
from locant_slo.catalogue.metrics import ALL
from locant_slo.indicators import INDICATORS

_HEADER = """# Metrics

Generated from `locant_slo.catalogue` by `make reference`; do not edit.

Every metric, its labels and units. The OpenTelemetry name is the Prometheus name with dots (without `_total`).
Tier: *always* is exported by default, *debug* only with `debug_metrics: true`, *self* speaks of Locant itself.
"""


def render_page() -> str:
    """The whole page: indicators, metrics by tier, labels."""
    return "\n".join([_HEADER, *_indicators(), "", *_metrics(ALL), "", *_labels(ALL), ""])


def _indicators() -> Iterable[str]:
    yield "## Service level indicators\n"
    yield "| id | an event is | it is bad when | default objective |"
    yield "|---|---|---|---|"
    for item in INDICATORS:
        objective = "information" if item.objective is None else f"{(item.objective * 100).normalize():f} % good"
        yield f"| `{item.id}` | {item.event} | {item.bad} | {objective} |"


def _metrics(metrics: Iterable[Metric]) -> Iterable[str]:
    yield "## Metrics\n"
    yield "| name | kind | unit | labels | tier | meaning |"
    yield "|---|---|---|---|---|---|"
    for metric in metrics:
        labels = ", ".join(f"`{name}`" for name in metric.label_names)
        unit = f"`{metric.unit}`" if metric.unit else ""
        row = (f"`{metric.prometheus_name}`", metric.kind.value, unit, labels, metric.tier.value, metric.help)
        yield f"| {' | '.join(row)} |"


def _labels(metrics: Iterable[Metric]) -> Iterable[str]:
    yield "## Labels\n"
    yield "| name | values | meaning |"
    yield "|---|---|---|"
    seen: dict[tuple[str, str], Label] = {}
    for metric in metrics:
        for label in metric.labels:
            seen.setdefault((label.name, label.help), label)
    for label in seen.values():
        values = ", ".join(f"`{value}`" for value in label.values) or "bounded by the deployment"
        yield f"| `{label.name}` | {values} | {label.help} |"
