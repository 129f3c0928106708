"""Attention statistics of sampled rows: sums per layer for everybody, heads and heat for those who debug."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from locant.observation import AttentionFacts
from locant.sidecar.accountant.subject import Subject, sli
from locant.sidecar.store import Update, add
from locant_slo.catalogue import metrics
from locant_slo.catalogue.labels import STATISTIC


def attention_sums(facts: AttentionFacts, subject: Subject) -> Iterator[Update]:
    """Sums over rows of each statistic's mean over heads, so that divided by the rows they are the mean."""
    own = (str(facts.layer), *subject.labels)
    yield add(metrics.ATTENTION_ROWS, own, facts.rows)
    for statistic in STATISTIC.values:
        yield add(metrics.ATTENTION_MASS, (statistic, *own), _mean(getattr(facts, statistic)))
    yield add(metrics.ATTENTION_ENTROPY, own, _mean(facts.entropy))
    yield add(metrics.ATTENTION_DISTANCE, own, _mean(facts.distance))


def _mean(per_head: tuple[float, ...]) -> float:
    """Mean over heads, without the small negative numbers that rounding leaves of a zero."""
    return max(sum(per_head) / len(per_head), 0.0) if per_head else 0.0


class PaddedPasses:
    """Which padded passes were told, and which of them as bad: a pass is one event, however many layers it sends."""

    def __init__(self, capacity: int = 512) -> None:
        self._capacity = capacity
        self._bad: OrderedDict[tuple[int, int], bool] = OrderedDict()

    def take(self, facts: AttentionFacts, subject: Subject) -> Iterator[Update]:
        """One layer of a pass. Its largest single-row mass decides: a leak in one row must not vanish in a mean."""
        if facts.padded_rows <= 0:
            return
        key = (facts.model_id, facts.pass_number)
        leaks = facts.padding_mass_largest >= subject.config.padding_attention_limit
        known = self._bad.get(key)
        if known is None:
            yield from sli(subject, "padding_attention", 1, leaks)
        elif leaks and not known:
            yield add(metrics.SLI_BAD_EVENTS, ("padding_attention", *subject.labels), 1)
        self._bad[key] = leaks or bool(known)
        if len(self._bad) > self._capacity:
            self._bad.popitem(last=False)
