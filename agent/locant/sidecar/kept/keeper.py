"""Which passes are kept: for every finding that pages or opens a ticket, the next one that shows it.

Attention is looked at in a share of passes only, so a pass without it is held back while a better one may come.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from locant.observation import (
    AttentionFacts,
    Detached,
    ForwardFacts,
    ModelAttached,
    Observation,
    ProbeHealth,
    ReplayFacts,
)
from locant.sidecar.kept.passes import KeptPass, keep
from locant_slo.findings import Finding, Severity

PATIENCE_PASSES = 200
PATIENCE_SECONDS = 120.0
AGAIN_SECONDS = 3600.0
"""A finding that goes on is kept once an hour."""
_MOST = 256
_MOST_LAYERS = 128
"""A probe may send anything: what is held of it is bounded in number, and the wire bounds the size of each."""


@dataclass(slots=True)
class _Pass:
    """A pass whose layers are still coming in."""

    facts: ForwardFacts
    findings: dict[str, Finding]
    layers: list[AttentionFacts] = field(default_factory=list)


@dataclass(slots=True)
class _Wanted:
    """A finding that waits for its pass. `any_pass`: it is about the model, so that every pass shows it."""

    finding: Finding
    since: float
    any_pass: bool
    passes: int = 0
    best: _Pass | None = None


@dataclass(slots=True)
class _Model:
    current: _Pass | None = None
    wanted: dict[str, _Wanted] = field(default_factory=dict)


class Keeper:
    """Sees every observation with what was found in it, and hands over what is to be kept. Memory: a pass a finding."""

    def __init__(self, hand_over: Callable[[KeptPass], object]) -> None:
        self._hand_over = hand_over
        self._models: dict[int, _Model] = {}
        self._kept_at: OrderedDict[str, float] = OrderedDict()

    def see(self, observation: Observation, findings: Iterable[Finding]) -> None:
        """Take one observation in, in the order in which the probe sent them."""
        found = {finding.id: finding for finding in findings if finding.severity is not Severity.INFO}
        if isinstance(observation, Detached):
            self._leave(observation)
            self.forget(observation.model_id)
            return
        model = self._models.get(observation.model_id)
        if model is None:
            if not isinstance(observation, ModelAttached) or len(self._models) >= _MOST:
                return
            model = self._models[observation.model_id] = _Model()
        current = model.current
        if isinstance(observation, AttentionFacts):
            if current is not None and current.facts.pass_number == observation.pass_number:
                current.findings.update(found)
                if observation.rows > 0 and len(current.layers) < _MOST_LAYERS:
                    current.layers.append(observation)
        elif isinstance(observation, ForwardFacts):
            self._complete(model)
            model.current = _Pass(observation, found)
        elif isinstance(observation, ProbeHealth):
            self._complete(model)
        elif isinstance(observation, (ModelAttached, ReplayFacts)):
            self._want(model, found, observation.time, any_pass=True)

    def forget(self, model_id: int) -> None:
        """Drop what a model that fell silent still waited for."""
        self._models.pop(model_id, None)

    def _want(self, model: _Model, found: dict[str, Finding], now: float, *, any_pass: bool) -> None:
        room = _MOST - sum(len(one.wanted) for one in self._models.values()) if found else 0
        for name, finding in list(found.items())[:room]:
            again = now - self._kept_at.get(name, -AGAIN_SECONDS) >= AGAIN_SECONDS
            if again and name not in model.wanted:
                model.wanted[name] = _Wanted(finding, now, any_pass)

    def _complete(self, model: _Model) -> None:
        """The last pass has all its layers: who waited for it?"""
        done, model.current = model.current, None
        if done is None:
            return
        self._want(model, done.findings, done.facts.time, any_pass=False)
        for name, wanted in list(model.wanted.items()):
            if wanted.any_pass or name in done.findings:
                wanted.passes += 1
                if done.layers or wanted.best is None:
                    wanted.best = done
                wanted.finding = done.findings.get(name, wanted.finding)
            impatient = wanted.passes >= PATIENCE_PASSES or done.facts.time - wanted.since >= PATIENCE_SECONDS
            if (wanted.best is not None and wanted.best.layers) or impatient:
                self._settle(model, name, done.facts.time)

    def _settle(self, model: _Model, name: str, now: float) -> None:
        wanted = model.wanted.pop(name)
        if wanted.best is None:
            return
        shown = wanted.best.findings.get(name, wanted.finding)
        self._hand_over(keep(shown, wanted.best.facts, tuple(wanted.best.layers)))
        self._kept_at[name] = now
        self._kept_at.move_to_end(name)
        if len(self._kept_at) > _MOST:
            self._kept_at.popitem(last=False)

    def _leave(self, observation: Detached) -> None:
        model = self._models.get(observation.model_id)
        if model is None:
            return
        self._complete(model)
        for name in list(model.wanted):
            self._settle(model, name, observation.time)
