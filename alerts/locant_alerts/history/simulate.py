"""Incidents that never happened: named shapes of given error ratios in steady traffic, each after a clean stretch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from locant_alerts.history.counters import whole
from locant_alerts.history.stretch import History, Incident
from locant_alerts.replay import Traffic
from locant_slo.durations import format_duration, parse_duration
from locant_slo.errors import ConfigError

_FORM = re.compile(r"(?P<name>[a-z-]+)(?::(?P<ratio>[0-9.]+))?(?:@(?P<time>\w+))?")
_LONGEST_SECONDS = 60 * 86_400


@dataclass(frozen=True, slots=True)
class Shape:
    """How the error ratio goes while an incident lasts: `curve` maps 0..1 of its time to 0..1 of its ratio."""

    curve: Callable[[float, float], float]
    ratio: float
    seconds: int
    says: str


_FLAP_SECONDS = 300.0

SHAPES: Mapping[str, Shape] = {
    "step": Shape(lambda _part, _seconds: 1.0, 0.3, 7_200, "all at once, and then it stays"),
    "spike": Shape(lambda _part, _seconds: 1.0, 1.0, 300, "short and total"),
    "slow-burn": Shape(lambda part, _seconds: part, 0.01, 259_200, "grows evenly over days"),
    "flapping": Shape(lambda _part, s: float(s // _FLAP_SECONDS % 2 == 0), 0.5, 21_600, "five minutes on, five off"),
}


@dataclass(frozen=True, slots=True)
class Simulated:
    """One incident to simulate."""

    shape: str
    error_ratio: float
    seconds: int

    @property
    def name(self) -> str:
        """As it is written: `step:0.3@2h`."""
        return f"{self.shape}:{self.error_ratio:g}@{format_duration(self.seconds)}"


def parse_incident(text: str) -> Simulated:
    """An incident of `step`, `step:0.3` or `step:0.3@2h`. Raises ConfigError with the shapes there are."""
    match = _FORM.fullmatch(text.strip())
    shape = SHAPES.get(match["name"]) if match else None
    if match is None or shape is None:
        known = ", ".join(f"{name} ({shape.says})" for name, shape in SHAPES.items())
        raise ConfigError(f"--simulate {text}: no such incident; write step, step:0.3 or step:0.3@2h. Shapes: {known}")
    try:
        ratio = float(match["ratio"]) if match["ratio"] else shape.ratio
        seconds = parse_duration(match["time"]) if match["time"] else shape.seconds
    except ValueError as error:
        raise ConfigError(f"--simulate {text}: {error}") from error
    if not 0 < ratio <= 1:
        raise ConfigError(f"--simulate {text}: {ratio:g} is no error ratio; write a share above 0, up to 1")
    if seconds > _LONGEST_SECONDS:
        raise ConfigError(f"--simulate {text}: {match['time']} is longer than {format_duration(_LONGEST_SECONDS)}")
    return Simulated(match["name"], ratio, seconds)


def simulate(
    incidents: Sequence[Simulated],
    *,
    events_per_step: int,
    calm_seconds: int,
    step_seconds: int,
    noise_ratio: float = 0,
) -> History:
    """One history with the incidents in their order, each after `calm_seconds` in which only `noise_ratio` is bad."""
    calm = -(-calm_seconds // step_seconds)
    ratios = [noise_ratio] * calm
    marked: list[Incident] = []
    for incident in incidents:
        start = len(ratios)
        ratios += [max(noise_ratio, ratio) for ratio in _ratios(incident, step_seconds)]
        marked.append((start, len(ratios)))
        ratios += [noise_ratio] * calm
    bad = whole(events_per_step * ratio for ratio in ratios)
    traffic = Traffic(step_seconds, (events_per_step,) * len(ratios), bad)
    return History(traffic, incidents=tuple(marked), incident_names=tuple(incident.name for incident in incidents))


def _ratios(incident: Simulated, step_seconds: int) -> list[float]:
    """The error ratio of each step, read in its middle."""
    steps = max(1, incident.seconds // step_seconds)
    curve = SHAPES[incident.shape].curve
    return [incident.error_ratio * curve((n + 0.5) / steps, (n + 0.5) * step_seconds) for n in range(steps)]
