"""Small values inside a panel's field configuration: threshold steps and overrides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """From `value` upwards the colour is `color`. The first step of a panel has no value: it is the base."""

    color: str
    value: float | None = None

    def to_json_data(self) -> dict[str, Any]:
        """The step; the base keeps its null, without which Grafana colours nothing."""
        return {"color": self.color, "value": self.value}


@dataclass(frozen=True, slots=True)
class Override:
    """Other properties for the field called `field`: dotted property id to value, such as `unit` or `custom.width`."""

    field: str
    properties: tuple[tuple[str, Any], ...]

    def to_json_data(self) -> dict[str, Any]:
        """The override in Grafana's matcher form."""
        return {
            "matcher": {"id": "byName", "options": self.field},
            "properties": [{"id": name, "value": value} for name, value in self.properties],
        }
