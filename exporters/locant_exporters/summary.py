"""A window between two snapshots, summed up for experiment trackers: one ratio an indicator, and the findings.

Trackers keep runs, not time series: they get windowed summaries now and then, never a value for each request.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from locant_slo.catalogue import Metric, metrics
from locant_slo.catalogue import labels as la
from locant_slo.findings import Finding
from locant_slo.snapshot import Sample, Snapshot

FINDING_COLUMNS = (
    "failure_mode",
    "name",
    "severity",
    "check",
    "count",
    "message",
    "evidence",
    "model",
    "model_version",
    "first_seen",
    "last_seen",
)
Cell = str | int | float
_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Summary:
    """`scalars` by key (`locant/MODEL/VERSION/INDICATOR/good_ratio`, `.../events`), findings as rows of a table."""

    scalars: dict[str, float]
    findings: tuple[tuple[Cell, ...], ...]


def summarise(snapshot: Snapshot, previous: Snapshot | None = None) -> Summary:
    """What happened between `previous` (or the agent's start) and `snapshot`.

    Indicators without an event in the window are left out: a gap must not read as healthy.
    """
    events = _increase(metrics.SLI_EVENTS, snapshot, previous)
    bad = _increase(metrics.SLI_BAD_EVENTS, snapshot, previous)
    scalars: dict[str, float] = {}
    for labels, total in sorted(events.items()):
        if total > 0:
            named = dict(zip(metrics.SLI_EVENTS.labels, labels, strict=True))
            parts = (named[la.MODEL], named[la.MODEL_VERSION], named[la.INDICATOR])
            key = "/".join(("locant", *(_key_part(part) for part in parts)))
            scalars[f"{key}/good_ratio"] = 1.0 - bad.get(labels, 0.0) / total
            scalars[f"{key}/events"] = total
    return Summary(scalars, tuple(_row(finding) for finding in snapshot.findings))


def _increase(metric: Metric, snapshot: Snapshot, previous: Snapshot | None) -> dict[tuple[str, ...], float]:
    """Growth by labels. A counter that fell has restarted, and all it holds is new, as in Prometheus."""
    now, before = _values(metric, snapshot), _values(metric, previous) if previous else {}
    grown = {labels: value - before.get(labels, 0.0) for labels, value in now.items()}
    return {labels: now[labels] if growth < 0 else growth for labels, growth in grown.items()}


def _values(metric: Metric, snapshot: Snapshot) -> dict[tuple[str, ...], float]:
    samples = [sample for family in snapshot.families if family.metric is metric for sample in family.samples]
    return {sample.labels: sample.value for sample in samples if isinstance(sample, Sample)}


def _row(finding: Finding) -> tuple[Cell, ...]:
    return (
        finding.failure_mode.value,
        finding.failure_mode.word,
        finding.severity.value,
        finding.check,
        finding.count,
        finding.message,
        json.dumps(dict(finding.evidence), default=str, sort_keys=True),
        finding.model,
        finding.model_version,
        finding.first_seen,
        finding.last_seen,
    )


def _key_part(text: str) -> str:
    """Trackers build keys and file names from it: letters, digits, `_`, `-` and `.` only."""
    return _NOT_IN_A_KEY.sub("_", text).strip(".") or "unknown"
