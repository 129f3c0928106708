"""Whose numbers these are: one release of one model, its profile, its limits and its reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from locant.observation import ForwardFacts, ModelProfile
from locant.sidecar.config import AgentConfig
from locant.sidecar.references import Reference
from locant.sidecar.store import Update, add
from locant_slo.catalogue import metrics
from locant_slo.snapshot import Exemplar


@dataclass(frozen=True, slots=True)
class Subject:
    """One release of a model under watch. `reference`: the pinned one of the same model, of this release or another."""

    model: str
    version: str
    profile: ModelProfile
    config: AgentConfig
    reference: Reference | None = None

    @property
    def labels(self) -> tuple[str, str]:
        """The values of the labels that nearly every metric ends in."""
        return (self.model, self.version)


def sli(
    subject: Subject, indicator: str, events: float, bad: float, exemplar: Exemplar | None = None
) -> Iterator[Update]:
    """Count valid and bad events of an indicator; the exemplar goes to the bad ones, which somebody will ask about."""
    if events:
        labels = (indicator, *subject.labels)
        yield add(metrics.SLI_EVENTS, labels, events)
        yield add(metrics.SLI_BAD_EVENTS, labels, bad, exemplar if bad else None)


def exemplar_of(facts: ForwardFacts, value: float) -> Exemplar | None:
    """The trace behind a pass, or None when it had none."""
    return Exemplar(value, facts.time, facts.trace_id, facts.span_id) if facts.trace_id else None
