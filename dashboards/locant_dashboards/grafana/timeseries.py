"""The time series panel."""

from __future__ import annotations

from typing import Any, ClassVar

import attr

from locant_dashboards.grafana.panel import ModernPanel


@attr.s(auto_attribs=True, kw_only=True)
class TimeSeries(ModernPanel):
    """Lines over time. `threshold_lines` draws the steps; `stacked` piles the series up."""

    plugin: ClassVar[str] = "timeseries"
    color: str = "palette-classic"
    threshold_lines: bool = False
    stacked: bool = False
    logarithmic: bool = False

    def custom(self) -> dict[str, Any]:
        """Time series field configuration."""
        return {
            "axisLabel": "",
            "axisPlacement": "auto",
            "barAlignment": 0,
            "drawStyle": "line",
            "fillOpacity": 25 if self.stacked else 0,
            "gradientMode": "none",
            "hideFrom": {"legend": False, "tooltip": False, "viz": False},
            "lineInterpolation": "linear",
            "lineWidth": 1,
            "pointSize": 5,
            "scaleDistribution": {"type": "log", "log": 10} if self.logarithmic else {"type": "linear"},
            "showPoints": "auto",
            "spanNulls": False,
            "stacking": {"group": "A", "mode": "normal" if self.stacked else "none"},
            "thresholdsStyle": {"mode": "dashed" if self.threshold_lines else "off"},
        }

    def options(self) -> dict[str, Any]:
        """Time series options."""
        return {
            "legend": {
                "calcs": ["lastNotNull", "max"],
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
