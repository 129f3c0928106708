"""Where a backtest's traffic comes from, as the command line names it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from locant_alerts.history import History
from locant_alerts.history.api import Prometheus
from locant_alerts.history.counters import Grid
from locant_alerts.history.csv_file import read_csv, read_incidents
from locant_alerts.history.excluded import unplanned, without_excluded
from locant_alerts.history.prometheus import read_prometheus
from locant_alerts.history.simulate import parse_incident, simulate
from locant_alerts.history.tsdb import read_tsdb
from locant_slo.errors import ConfigError
from locant_slo.spec import Objective, Spec

_CALM_MARGIN_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Asked:
    """One source of traffic, and how much of it. `over_seconds` and `until_seconds` are None where nobody said."""

    prometheus: str | None = None
    tsdb: str | None = None
    csv: str | None = None
    simulate: tuple[str, ...] = ()
    incidents: str | None = None
    step_seconds: int = 60
    over_seconds: int | None = None
    until_seconds: float | None = None
    events_per_minute: int = 1_000
    noise_ratio: float = 0.0
    headers: Mapping[str, str] | None = None


def read_histories(asked: Asked, spec: Spec, objective: Objective) -> tuple[History, ...]:
    """The traffic of each group, with its incidents where they are known. Raises ConfigError or MachineError."""
    given = [name for name in _SOURCES if getattr(asked, name)]
    if len(given) != 1:
        flags = " and ".join(f"--{name}" for name in given) or "no source of traffic"
        raise ConfigError(f"{flags} given; name exactly one of {', '.join(f'--{name}' for name in _SOURCES)}")
    histories = _SOURCES[given[0]](asked, spec, objective)
    if asked.incidents is None:
        return histories
    first = histories[0]
    step, steps = first.traffic.step_seconds, len(first.traffic.events)
    incidents = read_incidents(Path(asked.incidents), first.start_seconds, step, steps)
    return tuple(replace(history, incidents=incidents) for history in histories)


def read_known(path: Path, spec: Spec) -> tuple[History, ...]:
    """The traffic of a CSV file, without planned maintenance."""
    history = read_csv(path)
    grid = Grid(history.start_seconds, history.traffic.step_seconds, len(history.traffic.events))
    return without_excluded([history], spec, grid)


def counted_anyway(asked: Asked, spec: Spec) -> str:
    """What the spec excludes and this source knows no time of; empty where that is nothing."""
    unknown = [] if asked.prometheus else unplanned(spec)
    return f"{', '.join(unknown)}: only --prometheus knows when, so it counts here" if unknown else ""


def grid_of(asked: Asked, objective: Objective) -> Grid:
    """The steps that end at `until` (now, if nobody said) and reach back over the objective's window, or as asked."""
    until = time.time() if asked.until_seconds is None else asked.until_seconds
    steps = max(1, (asked.over_seconds or objective.window) // asked.step_seconds)
    return Grid(until - steps * asked.step_seconds, asked.step_seconds, steps)


def _prometheus(asked: Asked, spec: Spec, objective: Objective) -> tuple[History, ...]:
    with Prometheus(str(asked.prometheus), asked.headers) as prometheus:
        return read_prometheus(prometheus, spec, objective, grid_of(asked, objective))


def _tsdb(asked: Asked, spec: Spec, objective: Objective) -> tuple[History, ...]:
    """All that the folder holds, unless a time is named: its newest sample may be of last year."""
    whole = asked.over_seconds is None and asked.until_seconds is None
    grid = None if whole else grid_of(asked, objective)
    return read_tsdb(Path(str(asked.tsdb)), spec, objective, asked.step_seconds, grid)


def _csv(asked: Asked, spec: Spec, _objective: Objective) -> tuple[History, ...]:
    return read_known(Path(str(asked.csv)), spec)


def _simulated(asked: Asked, _spec: Spec, objective: Objective) -> tuple[History, ...]:
    longest = max(tier.long for tier in objective.alerting.tiers)
    return (
        simulate(
            [parse_incident(text) for text in asked.simulate],
            events_per_step=max(1, asked.events_per_minute * asked.step_seconds // 60),
            calm_seconds=longest + _CALM_MARGIN_SECONDS,
            step_seconds=asked.step_seconds,
            noise_ratio=asked.noise_ratio,
        ),
    )


_SOURCES: Mapping[str, Callable[[Asked, Spec, Objective], tuple[History, ...]]] = {
    "prometheus": _prometheus,
    "tsdb": _tsdb,
    "csv": _csv,
    "simulate": _simulated,
}
