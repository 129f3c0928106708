"""The agent inside the model's process: one background thread that judges what the probes saw."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from locant.sidecar.config import AgentConfig
from locant.sidecar.judge import Judge
from locant.sidecar.service import Agent
from locant.wire.channel import Channel
from locant_slo.findings import Finding
from locant_slo.snapshot import Snapshot

if TYPE_CHECKING:
    from torch import nn

    from locant.probe.probe import Probe, ProbeOptions

T = TypeVar("T")
_DRAIN_INTERVAL_SECONDS = 0.05
"""Draining in batches costs a tenth of waking up for each observation."""


class EmbeddedAgent:
    """Channel, judge, store and the thread between them. Several watched models may share one."""

    def __init__(
        self, config: AgentConfig | None = None, *, capacity: int = 4096, clock: Callable[[], float] = time.time
    ) -> None:
        self.channel = Channel(capacity)
        self._agent = Agent(config or AgentConfig(), Judge(), clock=clock)
        self._clock = clock
        self._probes: list[Probe] = []
        self._model_ids = itertools.count(1)
        self._pumping = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="locant-agent", daemon=True)

    def attach(
        self, model: nn.Module, *, name: str | None = None, version: str | None = None, options: ProbeOptions | None = None
    ) -> Probe:
        """Put one more model under watch; the returned probe is already attached."""
        from locant.probe.probe import Probe, ProbeOptions

        probe = Probe(
            model,
            model_id=next(self._model_ids),
            name=name,
            version=version,
            options=options or ProbeOptions(),
            channel=self.channel,
            clock=self._clock,
        )
        probe.attach()
        with self._pumping:
            self._probes.append(probe)
        if not self._thread.is_alive():
            self._thread.start()
        return probe

    def detach(self, probe: Probe) -> None:
        """Remove a probe's hooks and judge what it had seen."""
        probe.close()
        with self._pumping:
            self._probes = [other for other in self._probes if other is not probe]
        self.pump()

    def pump(self) -> int:
        """Judge everything that waits; how many observations that were."""
        with self._pumping:
            for probe in self._probes:
                probe.poll()
            judged = 0
            while batch := self.channel.drain():
                self._agent.ingest(batch)
                judged += len(batch)
            self._agent.note_channel(self.channel.depth, self.channel.dropped)
            return judged

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything seen so far is judged; False when `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        done = True
        for probe in tuple(self._probes):
            done = probe.flush(max(0.0, deadline - time.monotonic())) and done
        self.pump()
        return done

    def snapshot(self) -> Snapshot:
        """Everything known now, judged up to now."""
        self.pump()
        return self._agent.snapshot()

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, worst first; equal findings are one with a count."""
        return self._agent.findings()

    def pin_reference(self, path: str) -> None:
        """Write what was measured so far as the reference that later releases are compared with."""
        self.pump()
        self._agent.pin_reference(path)

    def close(self) -> None:
        """Detach every probe, judge the rest and end the thread."""
        for probe in tuple(self._probes):
            self.detach(probe)
        self._stop.set()
        self.channel.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stop.wait(_DRAIN_INTERVAL_SECONDS):
            self.pump()


class Watch:
    """A model under watch. Close it, or use it as a context manager; it leaves no hook behind."""

    def __init__(self, agent: EmbeddedAgent, probe: Probe, *, owns_agent: bool) -> None:
        self.agent = agent
        self.probe = probe
        self._owns_agent = owns_agent

    def declare(self, segments: Sequence[Sequence[int]] | None = None, request_ids: Sequence[str] | None = None) -> None:
        """Say what the rows of the next forward hold: lengths of the packed requests, or each row's request.

        `segments[row]` are token counts in order. Only engines that pack or batch by themselves need this.
        """
        self.probe.declare(segments=segments, request_ids=request_ids)

    def stream(self, chunks: Iterable[T]) -> Iterator[T]:
        """Pass a stream's chunks through unchanged, counting them and how the stream ended."""
        return self.probe.stream(chunks)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything seen so far is judged; False when `timeout` seconds were not enough."""
        return self.agent.flush(timeout)

    def findings(self) -> list[Finding]:
        """What is wrong, worst first."""
        return list(self.agent.findings())

    def snapshot(self) -> Snapshot:
        """Every metric as it stands now."""
        return self.agent.snapshot()

    def close(self) -> None:
        """Leave the model as it was found. What was found stays readable."""
        if self._owns_agent:
            self.agent.close()
        else:
            self.agent.detach(self.probe)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def watch(
    model: nn.Module,
    *,
    name: str | None = None,
    version: str | None = None,
    agent: EmbeddedAgent | None = None,
    config: AgentConfig | None = None,
    options: ProbeOptions | None = None,
    strict: bool = False,
) -> Watch:
    """Put `model` under watch and return the handle. One line is enough: everything else is found by itself.

    `name` and `version` default to what the model's config says. `agent` shares one agent among several models.
    `strict` raises the probe's own errors instead of counting them, for tests.
    Raises ModelError when `model` is no torch module.
    """
    from dataclasses import replace

    from locant.probe.probe import ProbeOptions

    options = options or ProbeOptions()
    host = agent or EmbeddedAgent(config)
    probe = host.attach(
        model, name=name, version=version, options=replace(options, strict=True) if strict else options
    )
    return Watch(host, probe, owns_agent=agent is None)
