"""What the demo serves: two models behind engines, users, canaries, and one agent that watches both."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

import torch

import locant
from locant.canary.background import keep_asking
from locant.canary.schedule import CanarySchedule
from locant.demo.bed import load_bed, suite_of
from locant.demo.engine import Engine
from locant.demo.faults import Fault
from locant.demo.recipes import RECIPES
from locant.demo.traffic import Served, Traffic
from locant.demo.verdict import model_name
from locant.embedded import EmbeddedAgent
from locant.probe.options import ProbeOptions
from locant.sidecar.config import AgentConfig
from locant_slo.findings import Finding
from locant_slo.snapshot import Snapshot

_CANARY_INTERVAL_SECONDS = 3.0
_CANARY_SHARE = 0.3
"""Far above the default of 1 %: a demo of two minutes cannot wait for minutes between canary runs."""


@dataclass(frozen=True, slots=True)
class Service:
    """One bed behind its engine, with its users and its canary."""

    engine: Engine
    traffic: Traffic
    canary: CanarySchedule


class Stage:
    """Everything that runs in this process. Close it, or use it as a context manager. `probe`: how closely to look."""

    def __init__(self, probe: ProbeOptions | None = None) -> None:
        self._probe = probe
        torch.set_num_threads(1)
        logging.getLogger("transformers").setLevel(logging.ERROR)
        self._stack = ExitStack()
        try:
            self.agent = EmbeddedAgent(AgentConfig(debug_metrics=True))
            self._stack.callback(self.agent.close)
            self.metrics_url = f"{self.agent.serve('127.0.0.1:0').url}/metrics"
            self._services = {name: self._open(name) for name in RECIPES}
        except BaseException:
            self._stack.close()
            raise

    def strike(self, bed: str, fault: Fault) -> None:
        """Deploy an engine with this fault in front of a bed."""
        self._services[bed].engine.fault = fault

    def served(self) -> Mapping[str, Served]:
        """What users got so far, by bed."""
        return {name: service.traffic.served for name, service in self._services.items()}

    def canary_runs(self) -> Mapping[str, int]:
        """Canary runs that have ended, by bed."""
        return {name: service.canary.runs for name, service in self._services.items()}

    def snapshot(self) -> Snapshot:
        """Every metric now."""
        return self.agent.snapshot()

    def findings(self) -> tuple[Finding, ...]:
        """What the agent says is wrong."""
        return self.agent.findings()

    def close(self) -> None:
        """Stop users and canaries, take the probes off, stop serving."""
        self._stack.close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, name: str) -> Service:
        bed = load_bed(name)
        engine = Engine(bed.model, bed.vocabulary.pad)
        watch = self._stack.enter_context(
            locant.watch(bed.model, name=model_name(name), version="1", agent=self.agent, options=self._probe)
        )
        canary = keep_asking(
            watch,
            suite_of(bed),
            interval_seconds=_CANARY_INTERVAL_SECONDS,
            share=_CANARY_SHARE,
            answer=engine.complete,
        )
        self._stack.callback(canary.close)
        traffic = Traffic(bed, engine, seed=len(name)).start()
        self._stack.callback(traffic.close)
        return Service(engine, traffic, canary)
