"""Prometheus' HTTP API: ranges in pages that stay below its limit of points, and every refusal as a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from locant_alerts.history.counters import Grid, Sample, Series
from locant_slo.errors import MachineError

MOST_POINTS = 10_000
"""Prometheus refuses more than 11,000 points a series in one answer."""
_TIMEOUT_SECONDS = 120.0
_PASSWORD = re.compile(r"//[^/?#]*@")


class RefusedError(MachineError):
    """The server is there, and will not answer this query."""


class Prometheus:
    """A Prometheus, or what answers like one: Thanos, Mimir, VictoriaMetrics. `with` closes its connection.

    `url` is its address as it may be shown: without the password.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, points: int = MOST_POINTS) -> None:
        self._address = url.rstrip("/")
        self.url = _PASSWORD.sub("//", self._address)
        self._points = points
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT_SECONDS)

    def __enter__(self) -> Prometheus:
        return self

    def __exit__(self, *raised: object) -> None:
        self._client.close()

    def instant(self, query: str, at_seconds: float) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of each sample of a vector."""
        data = self._ask("query", {"query": query, "time": f"{at_seconds:.3f}"})
        return [(item["metric"], float(item["value"][1])) for item in self._result(data, "vector")]

    def range(self, query: str, grid: Grid) -> list[Series]:
        """The series of a query at the start of the grid and at the end of each of its steps, joined over the pages."""
        found: dict[frozenset[tuple[str, str]], tuple[Mapping[str, str], list[Sample]]] = {}
        for start, end in pages(grid, self._points):
            parameters = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": str(grid.step_seconds)}
            for item in self._result(self._ask("query_range", parameters), "matrix"):
                labels = item["metric"]
                _, samples = found.setdefault(frozenset(labels.items()), (labels, []))
                samples += [(float(seconds), float(value)) for seconds, value in item["values"]]
        return [Series(labels, samples) for labels, samples in found.values()]

    def _ask(self, path: str, parameters: Mapping[str, str]) -> Any:
        try:
            answer = self._client.post(f"{self._address}/api/v1/{path}", data=dict(parameters))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise MachineError(f"{self.url}: no Prometheus answers there ({error}); check the address") from error
        try:
            content = answer.json()
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise MachineError(
                f"{self.url}: answers with status {answer.status_code} and no JSON; is it the API of a Prometheus?"
            ) from error
        if not isinstance(content, dict) or content.get("status") != "success":
            said = content.get("error", answer.text[:200]) if isinstance(content, dict) else answer.text[:200]
            raise RefusedError(f"{self.url}: refuses {parameters['query']!r}: {said}")
        return content.get("data")

    def _result(self, data: Any, kind: str) -> list[Any]:
        if not isinstance(data, dict) or data.get("resultType") != kind or not isinstance(data.get("result"), list):
            raise MachineError(f"{self.url}: answers without a {kind}; is it the API of a Prometheus?")
        return list(data["result"])


def pages(grid: Grid, points: int) -> Iterator[tuple[float, float]]:
    """First and last moment of each page; no moment of the grid stands in two of them."""
    for first in range(0, grid.steps + 1, points):
        last = min(grid.steps, first + points - 1)
        yield grid.start_seconds + first * grid.step_seconds, grid.start_seconds + last * grid.step_seconds
