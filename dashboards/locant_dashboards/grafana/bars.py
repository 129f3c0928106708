"""The single-value panels: Stat, Gauge and BarGauge."""

from __future__ import annotations

from typing import Any, ClassVar

import attr

from locant_dashboards.grafana.panel import ModernPanel, reduce_options


@attr.s(auto_attribs=True, kw_only=True)
class Stat(ModernPanel):
    """Big numbers."""

    plugin: ClassVar[str] = "stat"

    def options(self) -> dict[str, Any]:
        """Stat options."""
        return {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": reduce_options(),
            "showPercentChange": False,
            "textMode": "auto",
            "wideLayout": True,
        }


@attr.s(auto_attribs=True, kw_only=True)
class Gauge(ModernPanel):
    """A dial between `minimum` and `maximum`. Grafana 13 gives the dial its new look from the same options."""

    plugin: ClassVar[str] = "gauge"

    def options(self) -> dict[str, Any]:
        """Gauge options."""
        return {
            "minVizHeight": 75,
            "minVizWidth": 75,
            "orientation": "auto",
            "reduceOptions": reduce_options(),
            "showThresholdLabels": False,
            "showThresholdMarkers": True,
            "sizing": "auto",
        }


@attr.s(auto_attribs=True, kw_only=True)
class BarGauge(ModernPanel):
    """One horizontal bar per series."""

    plugin: ClassVar[str] = "bargauge"

    def options(self) -> dict[str, Any]:
        """BarGauge options."""
        return {
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "maxVizHeight": 300,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "auto",
            "orientation": "horizontal",
            "reduceOptions": reduce_options(),
            "showUnfilled": True,
            "sizing": "auto",
            "valueMode": "color",
        }
