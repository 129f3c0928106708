"""Attention statistics of sampled rows: sums per layer for everybody, heads and heat for those who debug."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from math import isnan
from typing import TypeVar

from locant.observation import AttentionFacts, ForwardFacts
from locant.sidecar.accountant.integrity import Verdict
from locant.sidecar.accountant.subject import Subject, sli
from locant.sidecar.store import Update, add
from locant_slo.catalogue import metrics
from locant_slo.catalogue.labels import STATISTIC
from locant_slo.findings import FailureMode

_INDICATOR = "padding_attention"
_Key = tuple[int, int]
_Value = TypeVar("_Value")


def attention_sums(facts: AttentionFacts, subject: Subject) -> Iterator[Update]:
    """Sums over rows of each statistic's mean over heads, so that divided by the rows they are the mean."""
    own = (str(facts.layer), *subject.labels)
    yield add(metrics.ATTENTION_ROWS, own, facts.rows)
    for statistic in STATISTIC.values:
        yield add(metrics.ATTENTION_MASS, (statistic, *own), _mean(getattr(facts, statistic)))
    for metric, sums in (
        (metrics.ATTENTION_ENTROPY, facts.entropy),
        (metrics.ATTENTION_RELATIVE_ENTROPY, facts.relative_entropy),
        (metrics.ATTENTION_DISTANCE, facts.distance),
        (metrics.ATTENTION_LOG_DISTANCE, facts.log_distance),
    ):
        if sums:  # a probe of an older release does not say all of them
            yield add(metric, own, _mean(sums))


def _mean(per_head: tuple[float, ...]) -> float:
    """Mean over heads, without the small negative numbers that rounding leaves of a zero."""
    return max(sum(per_head) / len(per_head), 0.0) if per_head else 0.0


class PaddedPasses:
    """Which padded passes were told, and which of them as bad: a pass is one event, however many layers it sends.

    A layer's largest single-row mass decides: a leak in one row must not vanish in a mean. Mass on what looks like
    padding counts as a leak only where the judge is certain that it is padding (without a mask, a run of the pad id may
    be text); it may say so with the layer, or with the pass when that comes later. Doubted mass is no event, nor is
    mass that is no number.
    """

    def __init__(self, capacity: int = 512) -> None:
        self._capacity = capacity
        self._bad: OrderedDict[_Key, bool] = OrderedDict()
        self._doubted: OrderedDict[_Key, None] = OrderedDict()

    def layer(self, facts: AttentionFacts, verdict: Verdict, subject: Subject) -> Iterator[Update]:
        """One sampled layer of a pass."""
        key = (facts.model_id, facts.pass_number)
        if facts.padded_rows <= 0 or isnan(facts.padding_mass_largest):
            return
        leaks = facts.padding_mass_largest >= subject.config.padding_attention_limit
        if not leaks or _is_leak(verdict):
            yield from self._tell(key, leaks, subject)
        else:
            self._doubted[key] = None
            _shorten(self._doubted, self._capacity)

    def judged(self, facts: ForwardFacts, verdict: Verdict, subject: Subject) -> Iterator[Update]:
        """The pass itself, which may settle what its layers left in doubt."""
        key = (facts.model_id, facts.pass_number)
        if key in self._doubted and _is_leak(verdict):
            del self._doubted[key]
            yield from self._tell(key, True, subject)

    def _tell(self, key: _Key, leaks: bool, subject: Subject) -> Iterator[Update]:
        known = self._bad.get(key)
        if known is None:
            yield from sli(subject, _INDICATOR, 1, leaks)
        elif leaks and not known:
            yield add(metrics.SLI_BAD_EVENTS, (_INDICATOR, *subject.labels), 1)
        self._bad[key] = leaks or bool(known)
        _shorten(self._bad, self._capacity)


def _is_leak(verdict: Verdict) -> bool:
    return any(finding.failure_mode is FailureMode.PADDING_LEAKAGE for finding in verdict.findings)


def _shorten(passes: OrderedDict[_Key, _Value], capacity: int) -> None:
    while len(passes) > capacity:
        passes.popitem(last=False)
