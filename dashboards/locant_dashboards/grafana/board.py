"""The dashboard: grafanalib's, written in today's schema."""

from __future__ import annotations

import json
from typing import Any

from grafanalib import core as G  # noqa: N812
from grafanalib._gen import DashboardEncoder

from locant_dashboards.grafana.modernise import modernise


class Dashboard(G.Dashboard):  # type: ignore[misc]
    """A grafanalib dashboard whose JSON is plain data in Grafana's current classic schema.

    It works as the `dashboard` variable of a `*.dashboard.py` file, with the stock `generate-dashboard` command.
    """

    def to_json_data(self) -> dict[str, Any]:
        """Encode everything to plain data first, then bring it up to date in one step."""
        encoded: dict[str, Any] = json.loads(json.dumps(super().to_json_data(), cls=DashboardEncoder))
        return modernise(encoded)
