"""What a Grafana board asks of Prometheus, without a Grafana: every query, with the variables filled in."""

from __future__ import annotations

import json
import math
import re
import urllib.error
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from support.real_servers import Api

Board = Mapping[str, Any]


class Query(NamedTuple):
    """The title of a panel, annotation or variable, and one PromQL expression of it."""

    panel: str
    expr: str


BUILT_IN = {"__rate_interval": "1m", "__interval": "15s", "__range": "15m"}
"""Grafana's own variables. A test whose Prometheus has run for seconds only may pass shorter ones."""


def queries(board: Board, variables: Mapping[str, str] | None = None) -> list[Query]:
    """Every query of a board's panels and annotations, ready for Prometheus.

    `variables` sets values by name; the others take Grafana's current value, where All is the variable's `allValue`.
    """
    values = {**BUILT_IN, **current_values(board), **(variables or {})}
    found = [
        Query(panel["title"], substituted(target["expr"], values))
        for panel in panels(board)
        for target in panel.get("targets", [])
    ]
    marks = [Query(mark["name"], substituted(mark["target"]["expr"], values)) for mark in board["annotations"]["list"]]
    return found + marks


def panels(board: Board) -> Iterator[dict[str, Any]]:
    """Panels that draw something, those inside collapsed rows included."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def current_values(board: Board) -> dict[str, str]:
    """What each variable is replaced by when the board is first opened."""
    return {item["name"]: _current(item) for item in board["templating"]["list"] if item["type"] != "datasource"}


def _current(variable: Mapping[str, Any]) -> str:
    value = variable.get("current", {}).get("value", "")
    chosen = value if isinstance(value, str) else "|".join(value)
    return str(variable.get("allValue", ".*")) if "$__all" in chosen else chosen


def substituted(expr: str, values: Mapping[str, str]) -> str:
    """`$name` and `${name}` replaced. Raises KeyError for a variable that nobody set."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: values[match[1] or match[2]], expr)


def label_queries(board: Board, variables: Mapping[str, str] | None = None) -> list[tuple[str, str, str]]:
    """Name, selector and label of every variable that asks Prometheus for label values."""
    values = {**current_values(board), **(variables or {})}
    found = []
    for item in board["templating"]["list"]:
        if item["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", item["query"]["query"])
            assert match, item["query"]
            found.append((item["name"], substituted(match[1], values), match[2]))
    return found


def problems(
    board: Board,
    api: Api,
    variables: Mapping[str, str] | None = None,
    *,
    may_be_empty: frozenset[str] = frozenset(),
) -> list[str]:
    """A sentence for each query of the board that Prometheus refuses, or answers with nothing or with NaN.

    `may_be_empty` names panels and variables without an answer in the set-up at hand, such as an accelerator's.
    """
    found = [_problem(api, query, may_be_empty) for query in queries(board, variables)]
    for name, selector, label in label_queries(board, variables):
        if not api.get(f"/api/v1/label/{label}/values", **{"match[]": selector}) and name not in may_be_empty:
            found.append(f"variable {name}: no value of {label} in {selector}")
    return [problem for problem in found if problem]


def _problem(api: Api, query: Query, may_be_empty: frozenset[str]) -> str:
    try:
        values = api.series(query.expr).values()
    except urllib.error.HTTPError as refusal:
        return f"{query.panel}: {json.load(refusal)['error']}: {query.expr}"
    if not values:
        return "" if query.panel in may_be_empty else f"{query.panel}: empty: {query.expr}"
    return f"{query.panel}: NaN: {query.expr}" if any(map(math.isnan, values)) else ""
