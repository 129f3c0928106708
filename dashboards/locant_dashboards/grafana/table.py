"""The table panel, and the matrix: a table whose cells are coloured by value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attr

from locant_dashboards.grafana.panel import ModernPanel

_VALUE = "Value"
_MATRIX_CORNER = "{row}\\{column}"


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

    The panel's one query is instant, in the format `table`, and carries these two labels and nothing else. `panel`
    are Table's arguments.
    """
    grouping = {"rowField": row, "columnField": column, "valueField": _VALUE, "emptyValue": "null"}
    order = {"fields": {}, "sort": [{"field": _MATRIX_CORNER.format(row=row, column=column)}]}
    return Table(
        cell="color-background",
        transformations=[{"id": "groupingToMatrix", "options": grouping}, {"id": "sortBy", "options": order}],
        **panel,
    )
