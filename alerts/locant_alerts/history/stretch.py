"""A stretch of counted traffic with what is known about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from locant_alerts.replay import Traffic
from locant_slo.durations import spoken_duration
from locant_slo.moments import format_moment

Incident = tuple[int, int]
"""Half-open range of steps."""


@dataclass(frozen=True, slots=True)
class History:
    """The traffic of one group (`labels`) from `start_seconds` on, in Unix seconds or from 0.

    `incidents` are known, or None where nobody says; `incident_names` are what simulated ones are called.
    `unseen`: stretches in which no process reported the counter. `excluded`: maintenance and the like, which count
    nothing.
    """

    traffic: Traffic
    start_seconds: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    incidents: tuple[Incident, ...] | None = None
    incident_names: tuple[str, ...] = ()
    unseen: tuple[Incident, ...] = ()
    excluded: tuple[Incident, ...] = ()

    @property
    def name(self) -> str:
        """The values of the labels, as in `llama 3.1`."""
        return " ".join(self.labels.values()) or "all"

    @property
    def seconds(self) -> int:
        """How long it lasts."""
        return len(self.traffic.events) * self.traffic.step_seconds

    @property
    def unseen_steps(self) -> int:
        """Steps in which no process reported the counter."""
        return sum(end - start for start, end in self.unseen)

    def moment(self, step: int) -> str:
        """When a step begins: the time in UTC, or how long after the start."""
        seconds = step * self.traffic.step_seconds
        return format_moment(self.start_seconds + seconds) if self.start_seconds else f"+{spoken_duration(seconds)}"


def runs(marks: Sequence[bool]) -> tuple[Incident, ...]:
    """Where consecutive marks begin and end."""
    edges = [index for index, (a, b) in enumerate(zip([False, *marks], [*marks, False], strict=True)) if a != b]
    return tuple(zip(edges[::2], edges[1::2], strict=True))
