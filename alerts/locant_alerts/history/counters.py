"""Samples of counters as traffic: increments, summed over the series of a group.

The rules' own reading of a counter: a value below the one before is a restart that began anew at zero; the first sample
of a series says nothing about what came before it; what was counted during a gap arrives when the gap ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from locant_alerts.history.stretch import History, runs
from locant_alerts.replay import Traffic

LOOK_BACK_SECONDS = 300
"""For how long Prometheus takes a sample for the present value; a longer silence is a gap."""
Sample = tuple[float, float]
"""Unix seconds and value."""


@dataclass(frozen=True, slots=True)
class Series:
    """One counter: its labels and its samples, in order of time."""

    labels: Mapping[str, str]
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Grid:
    """Steps of equal length from `start_seconds` on; step 0 ends one step after it."""

    start_seconds: float
    step_seconds: int
    steps: int

    @property
    def end_seconds(self) -> float:
        """When the last step ends."""
        return self.start_seconds + self.steps * self.step_seconds

    def step(self, seconds: float) -> int:
        """The step that a moment falls into; its end belongs to it. Negative before the start."""
        return math.ceil((seconds - self.start_seconds) / self.step_seconds) - 1


@dataclass(frozen=True, slots=True)
class _Count:
    """What one group counted in each step, while it is summed."""

    events: list[float]
    bad: list[float]
    seen: bytearray
    labels: Mapping[str, str]


def histories(events: Iterable[Series], bad: Iterable[Series], by: Sequence[str], grid: Grid) -> tuple[History, ...]:
    """One history for each group of the label names `by`, in order of their values.

    A group without any series of bad events had none. Bad events beyond all events of a step (two counters are never
    scraped at the very same moment) are moved to where the events arrive.
    """
    groups: dict[tuple[str, ...], _Count] = {}
    for series in events:
        count = groups.setdefault(_key(series, by), _nothing(series, by, grid))
        _add(series, count.events, grid, count.seen)
    for series in bad:
        if (known := groups.get(_key(series, by))) is not None:
            _add(series, known.bad, grid, bytearray(grid.steps))
    return tuple(_history(groups[key], grid) for key in sorted(groups))


def _nothing(series: Series, by: Sequence[str], grid: Grid) -> _Count:
    labels = {name: series.labels[name] for name in by if series.labels.get(name)}
    return _Count([0.0] * grid.steps, [0.0] * grid.steps, bytearray(grid.steps), labels)


def _key(series: Series, by: Sequence[str]) -> tuple[str, ...]:
    return tuple(series.labels.get(name, "") for name in by)


def _add(series: Series, counts: list[float], grid: Grid, seen: bytearray) -> None:
    before = -math.inf
    for seconds, increment in increments(series.samples):
        step = grid.step(seconds)
        if 0 <= step < grid.steps:
            counts[step] += increment
        first = grid.step(before) + 1 if seconds - before <= LOOK_BACK_SECONDS else step
        for between in range(max(0, first), min(step + 1, grid.steps)):
            seen[between] = 1
        before = seconds


def increments(samples: Iterable[Sample]) -> Iterator[Sample]:
    """What each sample adds to the one before it; the first one adds nothing. NaN marks staleness."""
    before: float | None = None
    for seconds, value in samples:
        if math.isfinite(value):
            yield seconds, 0.0 if before is None else value - before if value >= before else value
            before = value


def _history(count: _Count, grid: Grid) -> History:
    events = whole(count.events)
    bad = _within(events, whole(count.bad))
    unseen = runs([not seen for seen in count.seen])
    return History(Traffic(grid.step_seconds, events, bad), grid.start_seconds, count.labels, unseen=unseen)


def whole(increments: Iterable[float]) -> tuple[int, ...]:
    """Whole increments whose running sum is the rounded running sum: nothing is lost to rounding."""
    total, told, result = 0.0, 0, []
    for increment in increments:
        total += increment
        result.append(max(0, round(total) - told))
        told += result[-1]
    return tuple(result)


def _within(events: Sequence[int], bad: Sequence[int]) -> tuple[int, ...]:
    """Bad events, each no earlier than an event that it can be: the rest of a step waits for the next one."""
    waiting, result = 0, []
    for all_of_them, bad_ones in zip(events, bad, strict=True):
        waiting += bad_ones
        result.append(min(waiting, all_of_them))
        waiting -= result[-1]
    return tuple(result)
