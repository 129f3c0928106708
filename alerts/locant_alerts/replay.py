"""What the burn-rate alerts would have done: exact counting over a stretch of traffic, without a Prometheus.

Equal, step for step, to the generated rules on promtool (a test holds them to it) for counters born at zero and windows
of whole steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate

from locant_slo import burn
from locant_slo.spec import Objective, Tier


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events and bad events in each step of `step_seconds`; in the steps of `silent` no alert fires."""

    step_seconds: int
    events: tuple[int, ...]
    bad: tuple[int, ...]
    silent: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if len(self.events) != len(self.bad):
            raise ValueError(
                f"{len(self.events)} steps of events and {len(self.bad)} of bad events; give as many of both"
            )


@dataclass(frozen=True, slots=True)
class Firing:
    """One time that a tier fired: from step `start` until before step `end`."""

    tier: str
    start: int
    end: int


def replay(objective: Objective, traffic: Traffic) -> tuple[Firing, ...]:
    """Every firing of every tier, tier by tier. Step 0 stands before the first event."""
    sums = Sums(traffic)
    return tuple(
        Firing(tier.name, start, end)
        for tier in objective.alerting.tiers
        for start, end in _fired(objective, tier, sums)
    )


class Sums:
    """Cumulative counts of a stretch of traffic, for windows in constant time."""

    def __init__(self, traffic: Traffic) -> None:
        self.step_seconds = traffic.step_seconds
        self.events: Sequence[int] = (0, *accumulate(traffic.events))
        self.bad: Sequence[int] = (0, *accumulate(traffic.bad))
        self.silent = frozenset(step for start, end in traffic.silent for step in range(start + 1, end + 1))

    def window(self, step: int, seconds: int) -> tuple[int, int]:
        """Bad events and events in the window that ends at a step."""
        start = max(0, step - seconds // self.step_seconds)
        return self.bad[step] - self.bad[start], self.events[step] - self.events[start]


def _fired(objective: Objective, tier: Tier, sums: Sums) -> Iterator[tuple[int, int]]:
    """Prometheus' state machine: pending for `hold`, firing, and kept firing after the condition ended."""
    hold = -(-tier.hold // sums.step_seconds)
    keep = -(-objective.alerting.keep_firing_for // sums.step_seconds)
    active: int | None = None
    fired: int | None = None
    ended: int | None = None
    for step in range(len(sums.events)):
        if _burns(objective, tier, sums, step):
            active = step if active is None else active
            ended = None
            if fired is None and step - active >= hold:
                fired = step
        elif fired is None:
            active = None
        else:
            ended = step if ended is None else ended
            if step - ended >= keep:
                yield fired, step
                active = fired = ended = None
    if fired is not None:
        yield fired, len(sums.events)


def _burns(objective: Objective, tier: Tier, sums: Sums, step: int) -> bool:
    if step in sums.silent:
        return False
    limit = burn.threshold(tier, objective.target, objective.window)
    for seconds in (tier.long, tier.short):
        bad, events = sums.window(step, seconds)
        if not events or Decimal(bad) <= limit * events:
            return False
    return sums.window(step, tier.long)[0] >= objective.alerting.minimum_bad_events
