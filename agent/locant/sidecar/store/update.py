"""One change to one series, as a value: what the accountant says and the store does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from locant_slo.catalogue import Metric
from locant_slo.snapshot import Exemplar


class Operation(Enum):
    """Add to a counter, put a gauge, observe into a histogram."""

    ADD = "add"
    PUT = "put"
    OBSERVE = "observe"


class Update(NamedTuple):
    """`value` is the amount, the gauge or the observed value; `times` repeats an observation."""

    operation: Operation
    metric: Metric
    labels: tuple[str, ...]
    value: float
    times: int = 1
    exemplar: Exemplar | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Updates to counters that come again and again, as one value: the store looks its series up once."""

    updates: tuple[Update, ...]


def add(metric: Metric, labels: tuple[str, ...], amount: float = 1, exemplar: Exemplar | None = None) -> Update:
    """Raise a counter; an amount of 0 brings it into being."""
    return Update(Operation.ADD, metric, labels, amount, 1, exemplar)


def put(metric: Metric, labels: tuple[str, ...], value: float) -> Update:
    """Set a gauge or an info metric."""
    return Update(Operation.PUT, metric, labels, value)


def observe(
    metric: Metric, labels: tuple[str, ...], value: float, count: int = 1, exemplar: Exemplar | None = None
) -> Update:
    """Count `value` into a histogram `count` times; 0 times brings the histogram into being."""
    return Update(Operation.OBSERVE, metric, labels, value, count, exemplar)
