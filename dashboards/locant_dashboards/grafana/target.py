"""A Prometheus query as Grafana has understood it since version 9."""

from __future__ import annotations

from typing import Any

import attr
from grafanalib import core as G  # noqa: N812 - the name its own documentation uses

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
"""The data source that the board's first variable picks."""


@attr.s(auto_attribs=True, kw_only=True)
class PromTarget(G.Target):  # type: ignore[misc]
    """One query. `instant` asks for the newest value alone; `exemplar` also fetches the traces behind a histogram.

    `refId` may stay empty: `modernise` letters the queries of a panel.
    """

    expr: str
    format: str = "time_series"
    instant: bool = False
    refId: str = ""  # noqa: N815
    exemplar: bool = False
    legendFormat: str = "__auto"  # noqa: N815 - grafanalib's spelling

    def to_json_data(self) -> dict[str, Any]:
        """The query, without the Graphite keys that grafanalib adds."""
        return {
            "datasource": self.datasource or DATASOURCE,
            "editorMode": "code",
            "exemplar": self.exemplar,
            "expr": self.expr,
            "format": self.format,
            "hide": self.hide,
            "instant": self.instant,
            "legendFormat": self.legendFormat,
            "range": not self.instant,
            "refId": self.refId,
        }
