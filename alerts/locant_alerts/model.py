"""Prometheus rules as values, before they are text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording rule."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule. `hold_seconds` is Prometheus' `for`."""

    alert: str
    expr: str
    hold_seconds: int
    keep_seconds: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated in order, every `interval_seconds`."""

    name: str
    interval_seconds: int
    rules: tuple[Recording | Alert, ...]
    offset_seconds: int = 0
    """How far in the past they look, for samples that arrive late."""
