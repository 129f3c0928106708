"""What every panel of ours has: a unit, a description, thresholds, and no leftovers of Grafana 5."""

from __future__ import annotations

from typing import Any, ClassVar

import attr
from grafanalib import core as G  # noqa: N812

from locant_dashboards.grafana.fields import Override, Step
from locant_dashboards.grafana.target import DATASOURCE, PromTarget

PLUGIN_VERSION = "12.0.0"
"""The Grafana whose option model the panels are written in. Newer ones migrate from it (13 has a new gauge)."""


@attr.s(auto_attribs=True, kw_only=True)
class ModernPanel(G.Panel):  # type: ignore[misc]
    """A panel of the classic model, schemaVersion 42. A subclass names its `plugin` and gives `options`.

    `title`, `description`, `unit` and `targets` have no default on purpose. `steps` are the thresholds,
    `data_links` are `{"title", "url"}` mappings on the values, `links` are links on the panel's header.
    """

    plugin: ClassVar[str] = ""

    title: str
    description: str
    unit: str
    targets: list[PromTarget]
    gridPos: G.GridPos | None = None  # noqa: N815
    links: list[G.DashboardLink] = attr.Factory(list)
    transformations: list[dict[str, Any]] = attr.Factory(list)
    steps: tuple[Step, ...] = (Step("green"),)
    color: str = "thresholds"
    decimals: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    no_value: str | None = None
    overrides: tuple[Override, ...] = ()
    data_links: tuple[dict[str, Any], ...] = ()
    maxDataPoints: int | None = None  # noqa: N815 - grafanalib's spelling and its default of 100 blurs graphs
    dataSource: Any = attr.Factory(lambda: dict(DATASOURCE))  # noqa: N815

    def options(self) -> dict[str, Any]:
        """The plugin's own options."""
        raise NotImplementedError

    def custom(self) -> dict[str, Any]:
        """The plugin's own field configuration."""
        return {}

    def to_json_data(self) -> dict[str, Any]:
        """The panel as grafanalib starts it, with today's field configuration and options."""
        defaults = {
            "color": {"mode": self.color},
            "custom": self.custom(),
            "decimals": self.decimals,
            "links": list(self.data_links),
            "mappings": [],
            "max": self.maximum,
            "min": self.minimum,
            "noValue": self.no_value,
            "thresholds": {"mode": "absolute", "steps": list(self.steps)},
            "unit": self.unit,
        }
        panel: dict[str, Any] = self.panel_json(
            {
                "fieldConfig": {"defaults": defaults, "overrides": list(self.overrides)},
                "options": self.options(),
                "pluginVersion": PLUGIN_VERSION,
                "type": self.plugin,
            }
        )
        return panel


def reduce_options(*, values: bool = False) -> dict[str, Any]:
    """Which number of a series a single-value panel shows: the newest, or every row when `values` is set."""
    return {"calcs": ["lastNotNull"], "fields": "", "values": values}
