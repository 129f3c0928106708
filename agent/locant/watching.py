"""`locant.watch`: one line beside a model, and the handle that it returns."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeVar

from locant.host import ProbeHost
from locant_slo.findings import Finding
from locant_slo.snapshot import Snapshot

if TYPE_CHECKING:
    from torch import nn

    from locant.probe.probe import Probe, ProbeOptions
    from locant.replay.options import ReplayOptions

T = TypeVar("T")
SOCKET_VARIABLE = "LOCANT_SOCKET"
"""Environment variable with the socket of a sidecar agent; set by `locant run` and by the pod's manifest."""


class AnyAgent(Protocol):
    """What a watch needs of its agent, here or in another process."""

    @property
    def host(self) -> ProbeHost:
        """The probes' side."""
        ...

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong."""
        ...

    def snapshot(self) -> Snapshot:
        """Every metric."""
        ...

    def close(self) -> None:
        """End everything."""
        ...


class Watch:
    """A model under watch. Close it, or use it as a context manager; it leaves no hook behind."""

    def __init__(self, agent: AnyAgent, probe: Probe, *, owns_agent: bool) -> None:
        self.agent = agent
        self.probe = probe
        self._owns_agent = owns_agent

    def declare(
        self, segments: Sequence[Sequence[int]] | None = None, request_ids: Sequence[str] | None = None
    ) -> None:
        """Say what the rows of the next forward hold: lengths of the packed requests, or each row's request.

        `segments[row]` are token counts in order. Only engines that pack or batch by themselves need this.
        """
        self.probe.declare(segments=segments, request_ids=request_ids)

    def stream(self, chunks: Iterable[T]) -> Iterator[T]:
        """Pass a stream's chunks through unchanged, counting them and how the stream ended."""
        return self.probe.stream(chunks)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything seen so far is judged; False when `timeout` seconds were not enough."""
        return self.agent.host.flush(timeout)

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
            self.agent.host.detach(self.probe)

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
    agent: AnyAgent | None = None,
    options: ProbeOptions | None = None,
    manifest: str | os.PathLike[str] | None = None,
    replay: bool | ReplayOptions = False,
    strict: bool = False,
) -> Watch:
    """Put `model` under watch and return the handle. One line is enough: everything else is found by itself.

    `name` and `version` default to what the model's config says. `agent` shares one agent among several models;
    without it the watch has its own, or reports to the sidecar whose socket is in `LOCANT_SOCKET`.
    `manifest`, written by `locant fingerprint` for the last good release, makes every difference from it a finding.
    `replay` computes a sampled request a second time, alone, shifted or beside a neighbour, and compares: only with it
    does Locant run the model itself, from the agent's thread, at idle moments and within 1 % of the live passes' time.
    `strict` raises the probe's own errors instead of counting them, for tests.
    Raises ModelError when `model` is no torch module, ConfigError when `manifest` is none.
    """
    from locant.releases import read_pinned, report_changes

    pinned = read_pinned(manifest)
    _leave_to_caller(model)
    chosen = agent or _default_agent()
    handle = attach(model, chosen, name=name, version=version, options=options, strict=strict, owns_agent=agent is None)
    try:
        if pinned is not None:
            report_changes(handle.probe, pinned)
        if replay:
            from locant.replay.attach import start_replay

            start_replay(chosen.host, handle.probe, None if replay is True else replay)
    except BaseException:  # whoever catches it has no handle with which to take the hooks off
        handle.close()
        raise
    return handle


def attach(
    model: nn.Module,
    agent: AnyAgent,
    *,
    name: str | None = None,
    version: str | None = None,
    options: ProbeOptions | None = None,
    strict: bool = False,
    owns_agent: bool = False,
) -> Watch:
    """Put `model` under watch of this agent, whoever else may watch it."""
    from locant.probe.probe import ProbeOptions

    options = options or ProbeOptions()
    probe = agent.host.attach(
        model, name=name, version=version, options=replace(options, strict=True) if strict else options
    )
    return Watch(agent, probe, owns_agent=owns_agent)


def _leave_to_caller(model: nn.Module) -> None:
    """A model that came under watch by itself (`locant run`) and is now watched by hand must not count twice."""
    automatic = sys.modules.get("locant.instrument")
    if automatic is not None:
        automatic.release(model)


def _default_agent() -> AnyAgent:
    path = os.environ.get(SOCKET_VARIABLE)
    if path:
        from locant.remote import RemoteAgent

        return RemoteAgent(path)
    from locant.embedded import EmbeddedAgent

    return EmbeddedAgent()
