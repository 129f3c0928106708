"""Canary answers: right or wrong, against the predecessor's, and their loss by position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import isfinite

from locant.observation import CanaryFacts
from locant.sidecar.accountant.subject import Subject, sli
from locant.sidecar.references import Reference, Sum
from locant.sidecar.saved import SavedCanary
from locant.sidecar.store import Update, add, put
from locant_slo.catalogue import metrics
from locant_slo.catalogue.labels import RESULT
from locant_slo.statistics import paired_log_evidence

_PASS, _FAIL, _ = RESULT.values


def answers(facts: CanaryFacts, subject: Subject) -> Iterator[Update]:
    """One case. Beyond the trained length it counts only where its twin inside was right: what the model can do."""
    own = subject.labels
    for result, happened in ((_PASS, facts.right), (_FAIL, not facts.right)):
        yield add(metrics.CANARY_CASES, (facts.task, facts.length_bucket, result, *own), happened)
    for bucket, nats, tokens in facts.loss_nats:
        yield add(metrics.CANARY_LOSS, (bucket, *own), nats)
        yield add(metrics.CANARY_LOSS_TOKENS, (bucket, *own), tokens)
    if not facts.beyond_trained:
        yield from sli(subject, "sequence_correctness", 1, not facts.right)
    elif facts.twin_right:
        yield from sli(subject, "extrapolation_accuracy", 1, not facts.right)


class CanaryLedger:
    """What one release answered, beside its reference. Paired by case; each case is evidence once, however often asked:
    a deterministic model's repeated answer is no new sample."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._latest: dict[str, bool] = {}
        self._baseline: str | None = None
        self._paired: set[str] = set()
        self._flips: Counter[tuple[bool, bool]] = Counter()
        self._loss: dict[str, Sum] = {}
        self._run_loss: dict[str, Sum] = {}
        self._last_run: float | None = None

    def take(self, facts: CanaryFacts, subject: Subject) -> Iterator[Update]:
        """One case; the last of a run also closes the run."""
        if facts.case in self._latest or len(self._latest) < self._capacity:
            self._latest[facts.case] = facts.right
        for bucket, nats, tokens in facts.loss_nats:
            if isfinite(nats) and tokens > 0:
                for sums in (self._loss, self._run_loss):
                    sums[bucket] = _plus(sums.get(bucket), nats, tokens)
        predecessor = _predecessor(subject)
        if predecessor is not None:
            yield from self._compare(facts, predecessor, subject)
        if facts.last_of_run:
            self._last_run = facts.time
            yield put(metrics.CANARY_LAST_RUN, subject.labels, facts.time)
            yield from compare_loss(self._run_loss, subject)
            self._run_loss = {}

    def _compare(self, facts: CanaryFacts, predecessor: Reference, subject: Subject) -> Iterator[Update]:
        was_right = predecessor.canary.get(facts.case)
        if was_right is None:
            return
        yield from sli(subject, "positional_regression", 1, was_right and not facts.right)
        if self._baseline != predecessor.model_version:
            self._baseline, self._paired, self._flips = predecessor.model_version, set(), Counter()
        if facts.case not in self._paired and len(self._paired) < self._capacity:
            self._paired.add(facts.case)
            self._flips[was_right, facts.right] += 1
        yield from self._evidence(subject)

    def _evidence(self, subject: Subject) -> Iterator[Update]:
        if self._baseline is not None:
            evidence = paired_log_evidence(self._flips[True, False], self._flips[False, True])
            yield put(metrics.REGRESSION_LOG_EVIDENCE, (self._baseline, *subject.labels), evidence)

    def saved(self) -> SavedCanary:
        """What was answered so far, for the next start of the agent; a run that is under way begins again."""
        return SavedCanary(
            latest=dict(self._latest),
            baseline=self._baseline,
            paired=tuple(sorted(self._paired)),
            flips=tuple((was, now, count) for (was, now), count in sorted(self._flips.items())),
            loss={bucket: (one.total, one.count) for bucket, one in self._loss.items()},
            last_run=self._last_run,
        )

    def restore(self, saved: SavedCanary, subject: Subject) -> Iterator[Update]:
        """Go on where saved answers stood, and show again what they amount to."""
        self._latest, self._paired = dict(saved.latest), set(saved.paired)
        self._baseline, self._last_run = saved.baseline, saved.last_run
        self._flips = Counter({(was, now): count for was, now, count in saved.flips})
        self._loss = {bucket: Sum(total=total, count=count) for bucket, (total, count) in saved.loss.items()}
        yield from self._evidence(subject)
        if self._last_run is not None:
            yield put(metrics.CANARY_LAST_RUN, subject.labels, self._last_run)


def compare_loss(run: Mapping[str, Sum], subject: Subject) -> Iterator[Update]:
    """Mean loss of a run by position bucket against the reference's: worse by more than the limit is bad."""
    pinned = subject.reference.loss if subject.reference is not None else {}
    judged = [bucket for bucket, own in run.items() if own.count > 0 and bucket in pinned and pinned[bucket].count > 0]
    worse = sum(_mean(run[bucket]) - _mean(pinned[bucket]) > subject.config.loss_limit_nats for bucket in judged)
    yield from sli(subject, "positional_loss", len(judged), worse)


def _predecessor(subject: Subject) -> Reference | None:
    """The reference, if it is another release's: a release is not its own predecessor."""
    reference = subject.reference
    return reference if reference is not None and reference.model_version != subject.version else None


def _plus(known: Sum | None, total: float, count: int) -> Sum:
    return Sum(total=total + known.total, count=count + known.count) if known else Sum(total=total, count=count)


def _mean(one: Sum) -> float:
    return one.total / one.count
