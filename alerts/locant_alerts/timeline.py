"""What happens to a process in a scenario, step by step, and samples in promtool's notation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from locant_slo.indicators.counting import Share
from locant_slo.promql import number

Sample = Decimal | None
"""None: there is no sample."""


@dataclass(frozen=True, slots=True)
class Run:
    """Some steps that are alike: the events of each, how many of them are bad, and whether anybody reports them."""

    steps: int
    events: int = 0
    bad: Decimal = Decimal(0)
    gone: bool = False
    anew: bool = False
    """The process begins anew with this run's first sample: its counters are at zero."""

    def rise(self, share: Share) -> Decimal:
        """How much a counter of these events rises in a step."""
        return {"all": Decimal(self.events), "bad": self.bad, "good": self.events - self.bad}[share]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Runs one after the other; step 0 stands before the first. `bad_before`: bad events that were counted long ago."""

    runs: tuple[Run, ...]
    pod: str = "one"
    bad_before: int = 0

    def steps(self) -> Iterator[Run]:
        """The run of every step from step 1 on."""
        for run in self.runs:
            for index in range(run.steps):
                yield run if index == 0 or not run.anew else Run(run.steps, run.events, run.bad)

    def counter(self, share: Share) -> list[Sample]:
        """The samples of a counter, step 0 included."""
        value = Decimal(0 if share == "good" else self.bad_before)
        samples: list[Sample] = [value]
        for run in self.steps():
            value = Decimal(0) if run.anew else value + (Decimal(0) if run.gone else run.rise(share))
            samples.append(None if run.gone else value)
        return samples

    def gauges(self, held: float, broken: float) -> Iterator[list[Sample]]:
        """The samples of as many gauges as there are events in a step; as many of them are broken as events are bad."""
        for index in range(max(run.events for run in self.runs)):
            samples: list[Sample] = [Decimal(str(held))]
            for run in self.steps():
                value = Decimal(str(broken if index < run.bad else held))
                samples.append(None if run.gone or index >= run.events else value)
            yield samples


def notation(samples: Sequence[Sample]) -> str:
    """The samples as promtool reads them: `0+10x5` is six samples, `_x3` three missing ones."""
    words: list[str] = []
    at = 0
    while at < len(samples):
        value, length, step = samples[at], _length(samples, at), Decimal(0)
        if value is None and at:  # no sample for the five minutes that Prometheus looks back
            words.append("stale" if length == 1 else f"stale _x{length - 1}")
        elif value is None:
            words.append(f"_x{length}")
        elif length == 1:
            words.append(number(value))
        else:
            step = (samples[at + 1] or Decimal(0)) - value
            rise = "" if not step else f"{'+' if step > 0 else '-'}{number(abs(step))}"
            words.append(f"{number(value)}{rise}x{length - 1}")
        at += length
    return " ".join(words)


def _length(samples: Sequence[Sample], at: int) -> int:
    """How many samples from `at` on are one progression, or one gap."""
    end = at + 1
    first = samples[at]
    if first is None:
        while end < len(samples) and samples[end] is None:
            end += 1
        return end - at
    step: Decimal | None = None
    while end < len(samples) and (value := samples[end]) is not None:
        rise = value - (samples[end - 1] or Decimal(0))
        if step is not None and rise != step:
            break
        step, end = rise, end + 1
    return end - at
