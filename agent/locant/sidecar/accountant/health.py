"""What the probe could see, what it lost, and what it cost. A gap in the data never reads as healthy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from locant.observation import ForwardFacts, ProbeHealth
from locant.sidecar.accountant.subject import Subject
from locant.sidecar.store import Update, add, observe, put
from locant_slo.catalogue import metrics
from locant_slo.catalogue.labels import LOOK, REASON, REQUEST, SIGNAL, STAGE

_CAPTURE = STAGE.values[0]
_DECAY = 0.99
"""Coverage speaks of the last hundred passes or so: a signal lost after a month of service must show at once."""

_FADE = 0.5
_MOST_KEYS = 256


class Deltas:
    """Turns somebody's cumulative numbers into increments. A number that fell means a restart: it counts from zero.

    At most 256 keys: they come from outside, and whoever invents more is not followed.
    """

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def take(self, key: str, cumulative: float) -> float:
        """How much was added since the last call for this key."""
        if key not in self._last and len(self._last) >= _MOST_KEYS:
            return 0.0
        last = self._last.get(key, 0.0)
        self._last[key] = cumulative
        return cumulative - last if cumulative >= last else cumulative


def drops(deltas: Deltas, cumulative: Mapping[str, int]) -> Iterator[Update]:
    """Losses by reason; a reason that the catalogue does not know counts as invalid rather than not at all."""
    for reason, count in cumulative.items():
        known = reason if reason in REASON.values else "invalid"
        yield add(metrics.OBSERVATIONS_DROPPED, (known,), deltas.take(f"dropped {reason}", count))


class Coverage:
    """Share of the recent passes in which each signal could be seen."""

    def __init__(self) -> None:
        self._seen = dict.fromkeys(SIGNAL.values, 0.0)
        self._passes = 0.0

    def take(self, facts: ForwardFacts) -> None:
        """One pass."""
        self._passes = _DECAY * self._passes + 1
        for signal in self._seen:
            self._seen[signal] = _DECAY * self._seen[signal] + (signal in facts.seen)

    def live(self, subject: Subject) -> Iterator[Update]:
        """Every signal's share, zeros included; nothing before the first pass."""
        if self._passes:
            for signal, seen in self._seen.items():
                yield put(metrics.WATCH_COVERAGE, (signal, *subject.labels), min(seen / self._passes, 1.0))


class Overhead:
    """The probes' time over the model's; the older half of the reports fades, so that a change shows in seconds."""

    def __init__(self) -> None:
        self._spent = self._forward = 0.0

    def take(self, spent_seconds: float, forward_seconds: float) -> None:
        """What one probe reported since its last report."""
        if forward_seconds > 0:
            self._spent = _FADE * self._spent + spent_seconds
            self._forward = _FADE * self._forward + forward_seconds

    def live(self, subject: Subject) -> Iterator[Update]:
        """The ratio; nothing before the first pass."""
        if self._forward > 0:
            yield put(metrics.PROBE_OVERHEAD, subject.labels, self._spent / self._forward)


class ProbeLedger:
    """One probe's cumulative numbers, followed across its restarts."""

    def __init__(self, overhead: Overhead) -> None:
        self._deltas = Deltas()
        self._overhead = overhead
        self._passes = 0

    def count_pass(self) -> None:
        """One pass of this probe: what its capture time is spread over."""
        self._passes += 1

    def take(self, health: ProbeHealth, subject: Subject) -> Iterator[Update]:
        """What was lost, failed and spent since the last report."""
        yield from drops(self._deltas, dict(health.dropped))
        for signal, count in health.errors:
            yield add(metrics.PROBE_ERRORS, (signal, *subject.labels), self._deltas.take(f"errors {signal}", count))
        for metric, known, told in (
            (metrics.PROBE_LOOKS, LOOK, health.looks),
            (metrics.PROBE_REQUESTS, REQUEST, health.requests),
        ):
            for outcome, count in told:
                if outcome in known.values:
                    news = self._deltas.take(f"{metric.name} {outcome}", count)
                    yield add(metric, (outcome, *subject.labels), news)
        spent = self._deltas.take(_CAPTURE, health.capture_seconds)
        self._overhead.take(spent, self._deltas.take("forward", health.forward_seconds))
        if self._passes:
            yield observe(metrics.PROBE_DURATION, (_CAPTURE,), spent / self._passes, self._passes)
        self._passes = 0
