"""The heat map of Grafana 9 and later, fed by the buckets of a histogram."""

from __future__ import annotations

from typing import Any, ClassVar

import attr

from locant_dashboards.grafana.panel import ModernPanel

_COLOR = {
    "exponent": 0.5,
    "fill": "dark-orange",
    "mode": "scheme",
    "reverse": False,
    "scale": "exponential",
    "scheme": "Oranges",
    "steps": 64,
}


@attr.s(auto_attribs=True, kw_only=True)
class Heatmap(ModernPanel):
    """Buckets over time. `unit` is the y axis's; cells count `cell_unit`. `layout` says what a row's label is.

    Queries have the format `heatmap` and the legend `{{le}}`, so that Grafana makes buckets of cumulative series.
    """

    plugin: ClassVar[str] = "heatmap"
    cell_unit: str = "short"
    layout: str = "auto"

    def custom(self) -> dict[str, Any]:
        """Heat map field configuration."""
        return {
            "hideFrom": {"legend": False, "tooltip": False, "viz": False},
            "scaleDistribution": {"type": "linear"},
        }

    def options(self) -> dict[str, Any]:
        """Heat map options."""
        return {
            "calculate": False,
            "cellGap": 1,
            "cellValues": {"unit": self.cell_unit},
            "color": dict(_COLOR),
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": self.layout},
            "showValue": "never",
            "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": True},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": self.unit},
        }
