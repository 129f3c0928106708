"""What a metric is, and how its one dotted name becomes the names that backends show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from locant_slo.catalogue.labels import Label


class Kind(str, Enum):
    """The four shapes of a metric. An info metric is a gauge that is always 1 and speaks through its labels."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class Tier(str, Enum):
    """Who needs it: everybody, somebody debugging (opt-in, more series), or the people who watch Locant itself."""

    ALWAYS = "always"
    DEBUG = "debug"
    SELF = "self"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: dotted OTel name, kind, UCUM unit, help, closed label set, bucket bounds and tier.

    The dotted name ends in its unit where it has one (`locant.forward.duration.seconds`), so that the Prometheus name
    is the dotted name with underscores, plus `_total` for counters, and an OTLP backend that appends units agrees.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    tier: Tier = Tier.ALWAYS

    @property
    def prometheus_name(self) -> str:
        """The name of the sample as PromQL spells it (for a histogram, without `_bucket`, `_sum`, `_count`)."""
        flat = self.name.replace(".", "_")
        return f"{flat}_total" if self.kind is Kind.COUNTER else flat

    @property
    def label_names(self) -> tuple[str, ...]:
        """The label names in the order in which samples carry their values."""
        return tuple(label.name for label in self.labels)


def counter(name: str, unit: str, text: str, *labels: Label, tier: Tier = Tier.ALWAYS) -> Metric:
    """A number that only grows."""
    return Metric(name, Kind.COUNTER, unit, text, labels, tier=tier)


def gauge(name: str, unit: str, text: str, *labels: Label, tier: Tier = Tier.ALWAYS) -> Metric:
    """A number that goes up and down."""
    return Metric(name, Kind.GAUGE, unit, text, labels, tier=tier)


def histogram(
    name: str, unit: str, text: str, buckets: tuple[float, ...], *labels: Label, tier: Tier = Tier.ALWAYS
) -> Metric:
    """Counts in buckets, with their sum."""
    return Metric(name, Kind.HISTOGRAM, unit, text, labels, buckets, tier)
