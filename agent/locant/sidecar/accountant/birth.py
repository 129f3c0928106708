"""What exists, at zero, as soon as a model comes under watch.

A counter that is born at 1 is invisible to `increase()`: the very first fault of a release would fire no alert.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from locant.sidecar.accountant.subject import Subject
from locant.sidecar.store import Update, add, observe, put
from locant_slo.catalogue import metrics
from locant_slo.catalogue.labels import LOOK, OUTCOME, PART, PHASE, REQUEST, TOKEN_KIND
from locant_slo.findings import FailureMode, Severity
from locant_slo.indicators import INDICATORS

KnownCheck = tuple[FailureMode, Severity, str]


def counters_at_zero(subject: Subject, checks: Iterable[KnownCheck]) -> Iterator[Update]:
    """Every counter of a model whose label values are known beforehand, and the histograms of its sequences."""
    own = subject.labels
    for indicator in INDICATORS:
        yield add(metrics.SLI_EVENTS, (indicator.id, *own), 0)
        yield add(metrics.SLI_BAD_EVENTS, (indicator.id, *own), 0)
    for mode, severity, check in checks:
        yield add(metrics.FINDINGS, (mode.value, severity.value, check, *own), 0)
    for phase in PHASE.values:
        yield add(metrics.SEQUENCES, (phase, *own), 0)
        for outcome in OUTCOME.values:
            yield add(metrics.FORWARD_PASSES, (phase, outcome, *own), 0)
    for kind in TOKEN_KIND.values:
        yield add(metrics.TOKENS, (kind, *own), 0)
    for signal in PART.values:
        yield add(metrics.PROBE_ERRORS, (signal, *own), 0)
    for metric, outcomes in ((metrics.PROBE_LOOKS, LOOK.values), (metrics.PROBE_REQUESTS, REQUEST.values)):
        yield from (add(metric, (outcome, *own), 0) for outcome in outcomes)
    for counter in (metrics.SEQUENCE_LOG2, metrics.OBSERVATIONS):
        yield add(counter, own, 0)
    for histogram in (metrics.SEQUENCE_LENGTH, metrics.CONTEXT_UTILIZATION):
        yield observe(histogram, own, 0.0, 0)


def identity(subject: Subject, objectives: Mapping[str, float]) -> Iterator[Update]:
    """What the model is, and what the loaded spec promises of it."""
    profile = subject.profile
    trained = str(profile.trained_tokens) if profile.trained_tokens is not None else "unknown"
    yield put(metrics.MODEL_INFO, (*subject.labels, profile.family, profile.scheme, trained, profile.config_hash), 1)
    for indicator, target in objectives.items():
        yield put(metrics.OBJECTIVE_RATIO, (indicator, *subject.labels), target)
