"""Small specs of other formats, in the shapes that their own examples have."""

from __future__ import annotations

from typing import Any

import yaml

from locant_slo.interop.importing import import_text
from locant_slo.load import parse_specs
from locant_slo.spec import Objective, Spec

# Sloth: a ratio of events, latency as a difference of a histogram's parts, a gauge that is counted, a ratio as it is.
SLOTH = """
version: "prometheus/v1"
service: shop
labels: {team: checkout, cluster: north}
slos:
  - name: availability
    objective: 99.9
    description: Nearly every request is answered.
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="shop",code=~"(5..|429)"}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="shop"}[{{.window}}]))
    alerting:
      name: ShopAvailability
      labels: {category: availability}
      page_alert: {labels: {severity: loud}}
  - name: latency
    objective: 99
    sli:
      events:
        error_query: |
          (
            sum(rate(request_seconds_count{verb!="WATCH"}[{{.window}}]))
            -
            sum(rate(request_seconds_bucket{le="0.4",verb!="WATCH"}[{{.window}}]))
          )
        total_query: sum(rate(request_seconds_count{verb!="WATCH"}[{{ .window }}]))
    alerting:
      ticket_alert: {disable: true}
  - name: satisfied-guests
    objective: 95
    sli:
      events:
        error_query: sum_over_time((count(guest_satisfaction < 0.75))[{{.window}}:]) OR on() vector(0)
        total_query: sum_over_time((count(guest_satisfaction))[{{.window}}:])
    alerting: {}
  - name: satisfaction
    objective: 95
    sli:
      raw:
        error_ratio_query: |
          1 - (
            sum(sum_over_time(guest_satisfaction[{{.window}}]))
            / sum(count_over_time(guest_satisfaction[{{.window}}]))
          )
    alerting:
      page_alert: {disable: true}
      ticket_alert: {disable: true}
"""


def imported(text: str) -> tuple[dict[str, Objective], list[str]]:
    """Objectives by name, and the notes as `path: sentence`."""
    found = import_text(text, "file.yaml")
    objectives = {one.name: one for spec in parse_specs(found.text, "file.yaml") for one in spec.objectives}
    return objectives, [f"{note.path}: {note.sentence}" for note in found.notes]


def specs_of(text: str) -> tuple[Spec, ...]:
    """The specs that a file stands for."""
    return parse_specs(import_text(text, "file.yaml").text, "file.yaml")


def documents(*content: dict[str, Any]) -> str:
    """OpenSLO v1 documents; each has its kind, name and spec, and may have labels and annotations."""
    made = []
    for item in content:
        metadata = {"name": item["name"], **{key: item[key] for key in ("labels", "annotations") if key in item}}
        made.append({"apiVersion": "openslo/v1", "kind": item["kind"], "metadata": metadata, "spec": item["spec"]})
    return yaml.safe_dump_all(made, sort_keys=False)


def source(query: str, **fields: Any) -> dict[str, Any]:
    """A metric source of Prometheus."""
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}} | fields}


def slo(sli: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """An SLO with an inline indicator."""
    spec: dict[str, Any] = {
        "service": "shop",
        "indicator": {"metadata": {"name": "i"}, "spec": sli},
        "timeWindow": [{"duration": "30d", "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [{"target": 0.99}],
    }
    return {"kind": "SLO", "name": "orders", "spec": spec | fields}


RATIO = {
    "ratioMetric": {
        "counter": True,
        "good": source('sum(http_requests_total{code=~"2.."})'),
        "total": source("sum(http_requests_total)"),
    }
}
