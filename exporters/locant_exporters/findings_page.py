"""The findings of a snapshot as JSON, for people and scripts: what the metrics can only count."""

from __future__ import annotations

from typing import Any

import msgspec

from locant_exporters.label_values import storable
from locant_slo.findings import Finding
from locant_slo.snapshot import Snapshot

SCHEMA = "locant-findings/1"


def render_findings(snapshot: Snapshot) -> bytes:
    """`{"schema", "taken_at", "findings": [...]}`, findings in the snapshot's order, times in Unix seconds."""
    page = {
        "schema": SCHEMA,
        "taken_at": snapshot.taken_at,
        "findings": [_entry(finding) for finding in snapshot.findings],
    }
    return msgspec.json.encode(page)


def _entry(finding: Finding) -> dict[str, Any]:
    return {
        "failure_mode": finding.failure_mode.value,
        "failure_mode_name": finding.failure_mode.word,
        "severity": finding.severity.value,
        "check": finding.check,
        "message": storable(finding.message),
        "evidence": {key: _plain(value) for key, value in finding.evidence.items()},
        "model": storable(finding.model),
        "model_version": storable(finding.model_version),
        "first_seen": finding.first_seen,
        "last_seen": finding.last_seen,
        "count": finding.count,
    }


def _plain(value: object) -> object:
    """Numbers and words as they are; anything else in its own words."""
    return value if isinstance(value, int | float | bool | None) else storable(str(value))
