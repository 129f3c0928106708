"""The judge: observations in, verdicts out. Pure but for its memory of requests and models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from locant.observation import (
    AttentionFacts,
    Detached,
    ForwardFacts,
    ModelAttached,
    Observation,
    ReplayFacts,
    StreamFacts,
)
from locant.sidecar.accountant.integrity import Step
from locant.sidecar.checks import CHECKS, KNOWN_CHECKS, PLAIN_CHECKS, Hit, checks_for
from locant.sidecar.checks.attention import crossing_mass, padding_mass
from locant.sidecar.checks.padding import open_right_pads
from locant.sidecar.checks.parameters import deviations
from locant.sidecar.checks.raised import stream_broken
from locant.sidecar.checks.replay import replay_differs
from locant.sidecar.checks.resources import costs_regressed
from locant.sidecar.costs import CostHistory, Costs
from locant.sidecar.foresight import foresee
from locant.sidecar.ledger import Ledger, Stride
from locant.sidecar.memory import ModelMemory, alerting, note_of
from locant.sidecar.note import PassNote
from locant.sidecar.references import Reference
from locant.sidecar.saved import SavedCosts, SavedRelease
from locant_slo.findings import FailureMode, Finding

__all__ = ["CHECKS", "KNOWN_CHECKS", "Judge", "Verdict"]

RUNBOOK_URL = "https://github.com/locant/locant/blob/main/alerts/runbooks"
_ANOMALIES = frozenset({FailureMode.LENGTH_OVERFLOW, FailureMode.CRAFTED_INPUT})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one observation showed. Rows are indices into `ForwardFacts.rows`.

    `bad_rows`: named by a finding that pages or opens a ticket. `streaming_bad_rows`: of those, where state between
    calls went wrong. `anomalous_rows`: a position or length outside what the model allows. `step`: set where a decode
    loop went on exactly and healthily.
    """

    findings: tuple[Finding, ...] = ()
    bad_rows: frozenset[int] = frozenset()
    streaming_bad_rows: frozenset[int] = frozenset()
    anomalous_rows: frozenset[int] = frozenset()
    step: Step | None = None


class Judge:
    """Judges observations of any number of models, each introduced by its `ModelAttached`; others are passed over.

    Requests are forgotten after `ttl_seconds` without a call, or, oldest first, beyond `capacity` live rows.
    Not for several threads at once: one owner.
    """

    def __init__(self, *, ttl_seconds: float = 900.0, capacity: int = 4096, runbook_url: str = RUNBOOK_URL) -> None:
        self._ledger = Ledger(ttl_seconds=ttl_seconds, capacity=capacity)
        self._models: dict[int, ModelMemory] = {}
        self._costs = CostHistory()
        self._runbook_url = runbook_url.rstrip("/")

    @property
    def live_rows(self) -> int:
        """Sequences that the ledger follows now."""
        return len(self._ledger)

    def judge(self, observation: Observation) -> Verdict:
        """What this observation shows. Findings carry its time as `first_seen`; the store merges equal ones."""
        if isinstance(observation, ModelAttached):
            return self._attach(observation)
        model = self._models.get(observation.model_id)
        if model is None:
            return Verdict()
        if isinstance(observation, ForwardFacts):
            return self._forward(observation, model)
        if isinstance(observation, AttentionFacts):
            return self._attention(observation, model)
        if isinstance(observation, StreamFacts):
            return self._verdict(list(stream_broken(observation)), model, observation.time)
        if isinstance(observation, ReplayFacts):
            return self._verdict(list(replay_differs(observation, model.replay(observation))), model, observation.time)
        if isinstance(observation, Detached):
            self.forget(observation.model_id)
        return Verdict()

    def forget(self, model_id: int) -> None:
        """Drop everything about a model but what its release costs."""
        model = self._models.pop(model_id, None)
        if model is not None:
            self._costs.keep(model.attached, model.costs)
        self._ledger.forget(model_id)

    def compare(self, references: Mapping[str, Reference]) -> None:
        """Hold costs to these pinned releases, by model, from now on."""
        self._costs.adopt(references)
        for model in self._models.values():
            model.costs.compare(self._costs.pinned(model.attached))

    def costs(self) -> dict[tuple[str, str], SavedCosts]:
        """What is usual of each release, by model and version."""
        for model in self._models.values():
            self._costs.keep(model.attached, model.costs)
        return self._costs.known()

    def recall(self, saved: Iterable[SavedRelease]) -> None:
        """Go on with the costs of these releases; call it before the first observation."""
        self._costs.recall(saved)

    def _attach(self, attached: ModelAttached) -> Verdict:
        hits = list(deviations(attached.deviations))
        model = self._models.get(attached.model_id)
        if model is None:
            model = self._models[attached.model_id] = ModelMemory(attached, costs=self._costs.watch(attached))
        elif attached.machine != model.attached.machine:
            model.costs = self._costs.watch(attached)
        self._ledger.break_strides(attached.model_id)
        model.attached = attached
        model.table_rows = attached.profile.table_rows
        model.broken = bool(alerting(hits))
        return self._verdict(hits, model, attached.time)

    def _forward(self, facts: ForwardFacts, model: ModelMemory) -> Verdict:
        costs = model.costs.take(facts, model.profile)
        stride = self._ledger.stride(facts)
        if stride is not None and not stride.goes_on(facts):
            stride = None
        if (
            stride is not None
            and costs is None
            and stride.steps < stride.quiet
            and stride.note is not None
            and self._is_plain(facts, model)
        ):
            self._ledger.step(facts, stride)
            model.note(facts.pass_number, stride.note)
            return Verdict(step=Step(stride.serial, stride.steps))
        return self._look(facts, model, stride, costs)

    def _is_plain(self, facts: ForwardFacts, model: ModelMemory) -> bool:
        """Whether a step that goes on with its stride says nothing else, and nothing waits for it."""
        waited_for = bool(model.growths) or facts.pass_number in model.waiting
        return not (model.broken or waited_for) and checks_for(facts) is PLAIN_CHECKS

    def _look(self, facts: ForwardFacts, model: ModelMemory, stride: Stride | None, costs: Costs | None) -> Verdict:
        followed = self._ledger.follow(facts, model.profile)
        seen = model.see(facts, followed)
        hits = [hit for check in checks_for(facts) for hit in check(seen)]
        hits += costs_regressed(costs, model.profile) if costs is not None else ()
        note = note_of(seen)
        for attention in model.note(facts.pass_number, note):
            hits += _read(attention, note)
        self._ledger.record(facts, followed, model.profile, open_right_pads(seen))
        begun = self._ledger.stride(facts)
        if stride is not None and begun is not None and not hits:
            foresee(begun, stride, seen)
        return self._verdict(hits, model, facts.time, len(facts.rows), facts.phase == "decode")

    def _attention(self, facts: AttentionFacts, model: ModelMemory) -> Verdict:
        note = model.notes.get(facts.pass_number)
        if note is None:
            model.keep(facts)
            return Verdict()
        return self._verdict(list(_read(facts, note)), model, facts.time)

    def _verdict(
        self, hits: list[Hit], model: ModelMemory, time: float, rows: int = 0, decoding: bool = False
    ) -> Verdict:
        alerts = alerting(hits)
        bad = frozenset(range(rows)) if model.broken else _rows(alerts, rows)
        streaming = [hit for hit in alerts if hit.mode is FailureMode.STREAMING_STATE or decoding]
        findings = tuple(self._finding(hit, model.attached, time) for hit in hits)
        anomalous = _rows((hit for hit in alerts if hit.mode in _ANOMALIES), rows)
        return Verdict(findings, bad, _rows(streaming, rows), anomalous)

    def _finding(self, hit: Hit, attached: ModelAttached, time: float) -> Finding:
        return Finding(
            failure_mode=hit.mode,
            severity=hit.severity,
            check=hit.check,
            message=hit.message,
            evidence={**hit.evidence, "runbook": f"{self._runbook_url}/{hit.mode.word}.md"},
            model=attached.model,
            model_version=attached.model_version,
            first_seen=time,
            last_seen=time,
        )


def _read(facts: AttentionFacts, note: PassNote) -> Iterable[Hit]:
    if note.padding_trusted:
        yield from padding_mass((facts,), note.masked)
    if note.crossing_known:
        yield from crossing_mass((facts,), note.crossing_sure)


def _rows(hits: Iterable[Hit], rows: int) -> frozenset[int]:
    found: frozenset[int] = frozenset()
    for hit in hits:
        found |= frozenset(range(rows)) if hit.all_rows else hit.rows
    return found
