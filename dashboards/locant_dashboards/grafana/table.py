"""The table panel, and the matrix: a table whose cells are coloured by value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attr

from locant_dashboards.grafana.panel import ModernPanel

_VALUE = "Value"


@attr.s(auto_attribs=True, kw_only=True)
class Table(ModernPanel):
    """Rows of instant queries in the format `table`. `sort_by` names a column; the largest comes first."""

    plugin: ClassVar[str] = "table"
    cell: str = "auto"
    sort_by: str = ""

    def custom(self) -> dict[str, Any]:
        """Table field configuration."""
        background = {"type": "color-background", "mode": "basic"}
        return {
            "align": "auto",
            "cellOptions": background if self.cell == "color-background" else {"type": self.cell},
            "inspect": False,
        }

    def options(self) -> dict[str, Any]:
        """Table options."""
        order = [{"desc": True, "displayName": self.sort_by}] if self.sort_by else []
        return {"cellHeight": "sm", "showHeader": True, "sortBy": order, "frameIndex": 0}


def columns(renamed: Mapping[str, str], hidden: tuple[str, ...] = ("Time",)) -> dict[str, Any]:
    """The transformation that names the columns and puts them in the order of `renamed`."""
    return {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys(hidden, True),
            "indexByName": {name: index for index, name in enumerate(renamed)},
            "renameByName": dict(renamed),
        },
    }


def merged() -> dict[str, Any]:
    """The transformation that joins the answers of several queries into one row per label set."""
    return {"id": "merge", "options": {}}


def matrix(*, row: str, column: str, **panel: Any) -> Table:
    """A heat map of two labels at one instant: a row per value of `row`, a column per value of `column`.

    The panel's one query is instant, in the format `table`, and carries these two labels, both numbers. Grafana keeps
    the order in which it meets them, so they are sorted as numbers first: layer 10 stands after layer 9. `panel` are
    Table's arguments.
    """
    numbers = [{"targetField": name, "destinationType": "number"} for name in (row, column)]
    pivot = {"rowField": row, "columnField": column, "valueField": _VALUE, "emptyValue": "null"}
    steps = [
        {"id": "convertFieldType", "options": {"fields": {}, "conversions": numbers}},
        _sorted_by(row),
        _sorted_by(column),
        {"id": "groupingToMatrix", "options": pivot},
    ]
    return Table(cell="color-background", transformations=steps, **panel)


def _sorted_by(field: str) -> dict[str, Any]:
    return {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": field}]}}
