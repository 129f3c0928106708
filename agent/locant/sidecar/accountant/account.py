"""The account of one release of one model: observations and verdicts in, updates out."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from locant.observation import (
    AttentionFacts,
    CanaryFacts,
    ForwardFacts,
    Observation,
    ProbeHealth,
    StreamFacts,
)
from locant.sidecar.accountant.attention import PaddedPasses, attention_sums
from locant.sidecar.accountant.canary import CanaryLedger, answers
from locant.sidecar.accountant.cost import latency, memory, shape_of
from locant.sidecar.accountant.drift import DriftWindow
from locant.sidecar.accountant.entropy import EntropyLedger
from locant.sidecar.accountant.heads import HeadView
from locant.sidecar.accountant.health import Coverage, Overhead, ProbeLedger
from locant.sidecar.accountant.integrity import Verdict, decoded_chunks, integrity, streamed_chunks
from locant.sidecar.accountant.lengths import NewSequence, PrefillTracker, told
from locant.sidecar.accountant.steps import StepBook
from locant.sidecar.accountant.subject import Subject
from locant.sidecar.accountant.traffic import traffic
from locant.sidecar.saved import SavedRelease
from locant.sidecar.store import Batch, Update, add, put
from locant_slo.catalogue import metrics


class Account:
    """Everything that is counted of one release, whichever probes it comes from. The rules stand in the sibling files;
    this holds the little memory that some of them need. `now` is the agent's clock, Unix seconds."""

    def __init__(self, subject: Subject, now: float) -> None:
        self.subject = subject
        self._since: float | None = now
        self._prefills = PrefillTracker()
        self._drift = DriftWindow(subject.config.drift_window_seconds, now)
        self._steps = StepBook()
        self._padded = PaddedPasses()
        self._entropy = EntropyLedger()
        self._heads = HeadView()
        self._canary = CanaryLedger()
        self._coverage = Coverage()
        self._overhead = Overhead()
        self._probes: dict[int, ProbeLedger] = {}
        self._last_time: float | None = None

    def take(self, observation: Observation, verdict: Verdict, now: float) -> Iterator[Update | Batch]:
        """One observation of this release."""
        self._last_time = _heard(observation.time, self._last_time, now)
        yield add(metrics.OBSERVATIONS, self.subject.labels)
        if isinstance(observation, ForwardFacts):
            yield from self._forward(observation, verdict, now)
        elif isinstance(observation, AttentionFacts):
            yield from self._attention(observation, verdict)
        elif isinstance(observation, StreamFacts):
            yield from streamed_chunks(observation, self.subject)
        elif isinstance(observation, CanaryFacts):
            yield from answers(observation, self.subject)
            yield from self._canary.take(observation, self.subject)
        elif isinstance(observation, ProbeHealth):
            yield from self._probe(observation.model_id).take(observation, self.subject)

    def live(self, now: float) -> Iterator[Update]:
        """The gauges that a reader wants as of now, and the events that only time brings."""
        yield from self._lengths(self._prefills.settle(now), now)
        yield from self._drift.live(self.subject)
        yield from self._entropy.live(self.subject)
        yield from self._coverage.live(self.subject)
        yield from self._overhead.live(self.subject)
        if self.subject.config.debug_metrics:
            yield from self._heads.gauges(self.subject)
        if self._last_time is not None:
            yield put(metrics.LAST_OBSERVATION, self.subject.labels, self._last_time)

    def close(self, model_id: int, now: float) -> Iterator[Update]:
        """Forget one probe; what was still waiting to be told of it."""
        self._probes.pop(model_id, None)
        yield from self._lengths(self._prefills.close(model_id), now)

    @property
    def focus(self) -> tuple[int, int] | None:
        """Layer and head of the heat map."""
        return self._heads.focus

    def saved(self, now: float) -> SavedRelease:
        """What of this release outlives the agent's process."""
        return SavedRelease(
            self.subject.model,
            self.subject.version,
            now,
            drift=self._drift.saved(),
            canary=self._canary.saved(),
            entropy=self._entropy.saved(),
            since=self._since,
        )

    def restore(self, saved: SavedRelease) -> Iterator[Update]:
        """Go on where the agent's last process left this release."""
        self._since = saved.since
        self._drift.restore(saved.drift)
        self._entropy.restore(saved.entropy)
        yield from self._canary.restore(saved.canary, self.subject)

    def _forward(self, facts: ForwardFacts, verdict: Verdict, now: float) -> Iterator[Update | Batch]:
        self._coverage.take(facts)
        self._probe(facts.model_id).count_pass()
        if verdict.step is not None and self._prefills.goes_on(facts, now):
            yield from self._steps.take(facts, verdict, verdict.step, self.subject)
            yield from self._lengths([], now)
            return
        shape = shape_of(facts, self.subject)
        yield from traffic(facts, self.subject)
        yield from integrity(facts, verdict, self.subject)
        yield from decoded_chunks(facts, verdict, self.subject)
        yield from self._padded.judged(facts, verdict, self.subject)
        yield from latency(facts, shape, self.subject)
        yield from memory(facts, shape, self.subject)
        yield from self._lengths(self._prefills.take(facts, now), now)

    def _attention(self, facts: AttentionFacts, verdict: Verdict) -> Iterator[Update]:
        yield from attention_sums(facts, self.subject)
        yield from self._padded.layer(facts, verdict, self.subject)
        yield from self._entropy.take(facts, self.subject)
        if self.subject.config.debug_metrics:
            self._heads.take(facts)

    def _lengths(self, sequences: list[NewSequence], now: float) -> Iterator[Update]:
        yield from self._drift.advance(now, self.subject)
        self._drift.record(sequences)
        yield from told(sequences, self.subject)

    def _probe(self, model_id: int) -> ProbeLedger:
        return self._probes.setdefault(model_id, ProbeLedger(self._overhead))


def _heard(claimed: float, latest: float | None, now: float) -> float:
    """When a model was last heard from: never in the future, which would silence the alert on its silence."""
    heard = min(claimed, now) if isfinite(claimed) else now
    return heard if latest is None or latest > now else max(heard, latest)
