"""Steps that do not count: maintenance, and the quiet after a release. Alerts are silent in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import compress
from zoneinfo import ZoneInfo

from locant_alerts.history.api import Prometheus
from locant_alerts.history.counters import Grid
from locant_alerts.history.stretch import History, runs
from locant_alerts.replay import Traffic
from locant_alerts.stretches import fresh_releases
from locant_slo import burn
from locant_slo.spec import Spec
from locant_slo.times import DAYS, Once, Weekly, While

Marks = list[bool]
"""One for each step."""


def planned(spec: Spec, grid: Grid) -> Marks:
    """Steps within maintenance that the spec itself gives the time of."""
    marks = [False] * grid.steps
    for item in spec.maintenance:
        if not isinstance(item, While):
            for start, end in _once(item) if isinstance(item, Once) else _weekly(item, grid):
                _mark(marks, grid, start, end)
    return marks


def unplanned(spec: Spec) -> list[str]:
    """The names of what only a Prometheus can tell the time of."""
    names = [item.name for item in spec.maintenance if isinstance(item, While)]
    return [*names, "the quiet after releases"] if spec.deploys is not None else names


def without_excluded(histories: Sequence[History], spec: Spec, grid: Grid) -> tuple[History, ...]:
    """The histories without planned maintenance."""
    marks = planned(spec, grid)
    return tuple(_without(history, marks) for history in histories) if any(marks) else tuple(histories)


def without_all_excluded(
    histories: Sequence[History], prometheus: Prometheus, spec: Spec, grid: Grid
) -> tuple[History, ...]:
    """The histories without anything that the spec excludes: a Prometheus knows all of it."""
    marks = planned(spec, grid)
    for item in spec.maintenance:
        if isinstance(item, While):
            for series in prometheus.range(f"group ({item.condition})", grid):
                marks = _either(marks, _seen(series.samples, grid))
    releases: list[tuple[Mapping[str, str], Marks]] = []
    if spec.deploys is not None:
        found = prometheus.range(fresh_releases(spec, spec.deploys), grid)
        releases = [(series.labels, _seen(series.samples, grid)) for series in found]
    return tuple(_without(history, _of(history, marks, releases)) for history in histories)


def _of(history: History, marks: Marks, releases: Sequence[tuple[Mapping[str, str], Marks]]) -> Marks:
    """The marks of one group: a release is quiet for those whose labels it shares."""
    for labels, quiet in releases:
        if all(labels.get(name, value) == value for name, value in history.labels.items()):
            marks = _either(marks, quiet)
    return marks


def _either(one: Marks, other: Marks) -> Marks:
    return [a or b for a, b in zip(one, other, strict=True)]


def _seen(samples: Sequence[tuple[float, float]], grid: Grid) -> Marks:
    marks = [False] * grid.steps
    for seconds, _ in samples:
        if 0 <= (step := grid.step(seconds)) < grid.steps:
            marks[step] = True
    return marks


def _mark(marks: Marks, grid: Grid, start: float, end: float) -> None:
    """Every step that ends within the stretch."""
    first, last = max(0, grid.step(start)), min(grid.steps - 1, grid.step(end))
    for step in range(first, last + 1):
        marks[step] = marks[step] or start < grid.start_seconds + (step + 1) * grid.step_seconds <= end


def _once(item: Once) -> Iterator[tuple[float, float]]:
    start = item.at.timestamp()
    yield start, start + item.lasts


def _weekly(item: Weekly, grid: Grid) -> Iterator[tuple[float, float]]:
    """Every coming of a weekly stretch that touches the grid; days are those of its own time zone."""
    zone = ZoneInfo(item.time_zone)
    hour, minute = map(int, item.start.split(":"))
    day = datetime.fromtimestamp(grid.start_seconds, zone).date() - timedelta(days=8)
    last = datetime.fromtimestamp(grid.end_seconds, zone).date()
    while day <= last:
        if DAYS[(day.weekday() + 1) % 7] in item.days:
            start = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp()
            yield start, start + item.lasts
        day += timedelta(days=1)


def _without(history: History, marks: Marks) -> History:
    """Excluded steps count nothing, and alerts are silent in them and while the base counts still hold them."""
    traffic = history.traffic
    stretches = runs(marks)
    after = burn.BASE_WINDOW_SECONDS // traffic.step_seconds
    return replace(
        history,
        traffic=Traffic(
            traffic.step_seconds,
            _zeroed(traffic.events, marks),
            _zeroed(traffic.bad, marks),
            silent=tuple((start, end + after) for start, end in stretches),
        ),
        excluded=stretches,
    )


def _zeroed(counts: Sequence[int], marks: Marks) -> tuple[int, ...]:
    kept = list(counts)
    for step in compress(range(len(kept)), marks):
        kept[step] = 0
    return tuple(kept)
