"""The metric catalogue: the only place where a metric, its labels, unit and buckets are spelled.

Exporters, rules, dashboards, docs and tests all take their names from here, so they cannot drift apart.
"""

from locant_slo.catalogue.labels import Label
from locant_slo.catalogue.metric import Kind, Metric, Tier
from locant_slo.catalogue.metrics import ALL, by_prometheus_name

__all__ = ["ALL", "Kind", "Label", "Metric", "Tier", "by_prometheus_name"]
