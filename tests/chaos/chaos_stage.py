"""A model under watch and its agent in another process, while something happens to one of them.

The model's side is real: a small Llama, the probe, the channel, the sender. Each pass is compared bit for bit with what
the model answered before it was watched, and its time is noted by phase: calm before, storm, calm after.
"""

from __future__ import annotations

import contextlib
import resource
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import transformers

import locant
from locant.probe.probe import ProbeOptions
from locant_slo.catalogue import metrics
from support.agent_process import AgentProcess, started
from support.real_servers import eventually

CALM, STORM, AFTER = "before", "during", "after"
_PAUSE_SECONDS = 0.002


def small_model() -> torch.nn.Module:
    """The same weights every time."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    return transformers.LlamaForCausalLM(config).eval()


@dataclass(frozen=True)
class Verdict:
    """What became of one scenario.

    Medians of a forward pass before, during and after, in milliseconds: its time, and the processor time of its thread.
    `waits`: how often in a hundred passes the thread gave the processor away, as one that blocks must.
    """

    passes: int
    wrong_outputs: int
    errors: int
    offered: int
    dropped: dict[str, int]
    counted_as_dropped: float
    wall_ms: tuple[float, float, float]
    cpu_ms: tuple[float, float, float]
    waits: tuple[float, float, float]
    note: str = ""

    @property
    def untouched(self) -> bool:
        """No output differs, and no pass failed."""
        return not self.wrong_outputs and not self.errors

    @property
    def loss_counted(self) -> bool:
        """The agent knows of everything that the model's side says it dropped."""
        return self.counted_as_dropped >= sum(self.dropped.values())


class Cost(NamedTuple):
    """Seconds and waits, of a pass or since the thread began."""

    wall: float
    cpu: float
    waits: float

    @classmethod
    def now(cls) -> Cost:
        """Of this thread until now."""
        return cls(time.perf_counter(), time.thread_time(), resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw)


def _each(phases: list[list[Cost]], measure: Callable[[list[Cost]], float]) -> tuple[float, float, float]:
    before, during, after = map(measure, phases)
    return before, during, after


class Traffic:
    """Passes of the watched model on a thread of its own, until rest."""

    def __init__(self, socket: str, clock: object = time.time) -> None:
        self._model = small_model()
        self._prompts = [torch.tensor([[1, 2, 3 + n]]) for n in range(16)]
        with torch.no_grad():
            self._right = [self._model(prompt).logits for prompt in self._prompts]
        self.remote = locant.RemoteAgent(socket, clock=clock)  # type: ignore[arg-type]
        self.offered = self.passes = self.wrong = self.errors = 0
        self._count_what_is_offered()
        options = ProbeOptions(attention_rate=0.0, rotary_rate=0.0)
        locant.watch(self._model, name="chat", version="v1", agent=self.remote, options=options)
        self.phase = CALM
        self.costs: dict[str, list[Cost]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _count_what_is_offered(self) -> None:
        deliver = self.remote.host._deliver

        def counting(batch: object) -> object:
            self.offered += len(batch)  # type: ignore[arg-type]
            return deliver(batch)  # type: ignore[arg-type]

        self.remote.host._deliver = counting  # type: ignore[assignment]

    def _run(self) -> None:
        with torch.no_grad():
            while not self._stop.wait(_PAUSE_SECONDS):
                at = self.passes % len(self._prompts)
                began = Cost.now()
                try:
                    logits = self._model(self._prompts[at]).logits
                except Exception:
                    self.errors += 1
                    continue
                self.costs[self.phase].append(Cost(*(now - then for now, then in zip(Cost.now(), began, strict=True))))
                self.wrong += not torch.equal(logits, self._right[at])
                self.passes += 1

    def goes_on(self, passes: int) -> None:
        """Returns after that many more passes."""
        goal = self.passes + passes
        eventually(lambda: self.passes >= goal or not self._thread.is_alive(), 60.0, 0.02)
        assert self._thread.is_alive()

    def rest(self) -> None:
        """No more passes; what they showed is on its way or counted."""
        self._stop.set()
        self._thread.join(30)
        assert self.remote.host.flush(10.0)

    @property
    def dropped(self) -> dict[str, int]:
        """What the model's side lost, by reason."""
        return dict(self.remote._sender._all_losses())


class Stage:
    """The agent, the traffic, and what is measured of both."""

    def __init__(self, folder: Path, *flags: str, program: tuple[str, ...] = (), clock: object = time.time) -> None:
        self.folder = folder
        self._flags = flags
        self._program = program
        self.agent = self.start_agent()
        self.traffic = Traffic(self.agent.socket, clock)
        self.note = ""

    def start_agent(self) -> AgentProcess:
        """One more agent at the same socket."""
        self.agent = started(self.folder, *self._flags, program=self._program)
        return self.agent

    @contextlib.contextmanager
    def storm(self, passes: int) -> Iterator[None]:
        """Calm passes, then whatever the body does with passes beside it, then calm again."""
        self.traffic.goes_on(passes)
        eventually(lambda: self.agent.passes("prefill") > 0)
        self.traffic.phase = STORM
        yield
        self.traffic.goes_on(passes)
        self.traffic.phase = AFTER

    def recovers(self, passes: int) -> None:
        """The agent is ready and counts new passes again."""
        eventually(self.agent.ready, 90.0)
        known = self.agent.passes("prefill")
        self.traffic.goes_on(passes)
        eventually(lambda: self.agent.passes("prefill") > known, 90.0)

    def settle(self, *, exact: bool) -> None:
        """After the last pass the books agree; `exact`, for an agent that lived throughout: to the last observation."""
        self.traffic.rest()
        dropped = self.traffic.dropped

        def told() -> bool:
            self.traffic.remote.host.pump()  # which says once a second what was lost
            if exact:
                return self._received() + self.agent.dropped() == self.traffic.offered
            return all(self._counted(reason) >= count for reason, count in dropped.items())

        eventually(told, 30.0, 0.3)

    def _received(self) -> float:
        return sum(self.agent.values(metrics.OBSERVATIONS))

    def _counted(self, reason: str) -> float:
        return self.agent.value(metrics.OBSERVATIONS_DROPPED, reason=reason) or 0.0

    def verdict(self) -> Verdict:
        """Everything in numbers."""
        traffic = self.traffic
        costs = [traffic.costs[phase] or [Cost(0.0, 0.0, 0.0)] for phase in (CALM, STORM, AFTER)]
        return Verdict(
            passes=traffic.passes,
            wrong_outputs=traffic.wrong,
            errors=traffic.errors,
            offered=traffic.offered,
            dropped=traffic.dropped,
            counted_as_dropped=self.agent.dropped(),
            wall_ms=_each(costs, lambda phase: 1e3 * statistics.median(one.wall for one in phase)),
            cpu_ms=_each(costs, lambda phase: 1e3 * statistics.median(one.cpu for one in phase)),
            waits=_each(costs, lambda phase: 100 * statistics.fmean(one.waits for one in phase)),
            note=self.note,
        )

    def close(self) -> None:
        """End the agent and the watch."""
        self.traffic._stop.set()
        self.traffic._thread.join(30)
        self.traffic.remote.close()
        self.agent.kill()
