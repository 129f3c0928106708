"""Which passes are kept: for every finding that pages or opens a ticket, the next one that shows it.

Attention is looked at in a share of passes only, so a pass without it is held back while a better one may come. Beside
that the probe is asked to look at a whole pass; when one comes that shows the finding, it is kept as well.
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
from locant.wire.request import PHASES, Phase
from locant_slo.findings import Finding, Severity

PATIENCE_PASSES = 200
PATIENCE_SECONDS = 120.0
AGAIN_SECONDS = 3600.0
"""A finding that goes on is kept once an hour."""
ASK_SECONDS = 70.0
"""Between two requests for a model: probes honour one a minute."""
WHOLE_SECONDS = 600.0
"""How long after a finding a whole pass is still waited and asked for."""
Ask = Callable[[int, Phase], bool]
"""Asks for a whole pass of a model in a phase; False when nobody will look."""
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
    """A finding that waits for its pass. `any_pass`: it is about the model, so that every pass shows it.

    `shown`: one was kept already, and a whole one is waited for; `final`: no better one will come.
    """

    finding: Finding
    since: float
    any_pass: bool
    passes: int = 0
    best: _Pass | None = None
    shown: bool = False
    final: bool = False

    def shown_by(self, name: str, done: _Pass) -> bool:
        """Whether this pass shows the finding of that name."""
        return self.any_pass or name in done.findings


@dataclass(slots=True)
class _Model:
    current: _Pass | None = None
    wanted: dict[str, _Wanted] = field(default_factory=dict)
    next_ask: float = 0.0


class Keeper:
    """Sees every observation with what was found in it, and hands over what is to be kept. Memory: a pass a finding."""

    def __init__(self, hand_over: Callable[[KeptPass], object], ask: Ask = lambda model_id, phase: False) -> None:
        self._hand_over = hand_over
        self._ask = ask
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
            if wanted.shown_by(name, done):
                self._consider(model, name, wanted, done)
            self._settle(model, name, wanted, done.facts.time)

    def _consider(self, model: _Model, name: str, wanted: _Wanted, done: _Pass) -> None:
        """A pass shows the finding: ask for a whole one, and remember it where it is the best so far."""
        now = done.facts.time
        wanted.passes += 1
        wanted.finding = done.findings.get(name, wanted.finding)
        if done.facts.whole:
            wanted.best, wanted.shown, wanted.final = done, False, True
        elif not wanted.shown and (done.layers or wanted.best is None):
            wanted.best = done
        if not wanted.final and now >= model.next_ask:
            model.next_ask = now + ASK_SECONDS
            wanted.final = not self._ask_for(wanted, done.facts)

    def _ask_for(self, wanted: _Wanted, facts: ForwardFacts) -> bool:
        """Where any pass will do, one that begins a sequence: a step of decoding is too short to be looked at whole."""
        wished = "prefill" if wanted.any_pass and facts.phase == "decode" else facts.phase
        phase = next((known for known in PHASES if known == wished), None)
        return phase is not None and self._ask(facts.model_id, phase)

    def _settle(self, model: _Model, name: str, wanted: _Wanted, now: float) -> None:
        """Keep the best pass as soon as it will do; forget the finding when no better one will come."""
        impatient = wanted.passes >= PATIENCE_PASSES or now - wanted.since >= PATIENCE_SECONDS
        if not wanted.shown and ((wanted.best is not None and wanted.best.layers) or impatient):
            self._keep(name, wanted, now)
        if wanted.shown and (wanted.final or now - wanted.since >= WHOLE_SECONDS):
            del model.wanted[name]

    def _keep(self, name: str, wanted: _Wanted, now: float) -> None:
        best, wanted.best, wanted.shown = wanted.best, None, True
        if best is None:
            return
        self._hand_over(keep(best.findings.get(name, wanted.finding), best.facts, tuple(best.layers)))
        self._kept_at[name] = now
        self._kept_at.move_to_end(name)
        if len(self._kept_at) > _MOST:
            self._kept_at.popitem(last=False)

    def _leave(self, observation: Detached) -> None:
        model = self._models.get(observation.model_id)
        if model is None:
            return
        self._complete(model)
        for name, wanted in model.wanted.items():
            self._keep(name, wanted, observation.time)
