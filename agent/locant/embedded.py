"""The agent inside the model's process: `locant.watch` without a sidecar."""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from locant.host import ProbeHost
from locant.observation import Observation
from locant.pushing import Push
from locant.sidecar.config import AgentConfig
from locant.sidecar.judge import Judge
from locant.sidecar.kept.keeper import Keeper
from locant.sidecar.kept.writer import writer_for
from locant.sidecar.references import load_references
from locant.sidecar.service import Agent
from locant_slo.catalogue.labels import BY_SCRAPE, PUSHED, TO_SNAPSHOTS
from locant_slo.errors import ConfigError
from locant_slo.findings import Finding
from locant_slo.snapshot import Snapshot

if TYPE_CHECKING:
    from locant_exporters.http import Server


_CLOSE_SECONDS = 5.0


class EmbeddedAgent:
    """Ledger, checks and store behind the probes of this process. Several watched models may share one."""

    def __init__(
        self,
        config: AgentConfig | None = None,
        *,
        objectives: Mapping[str, float] | None = None,
        capacity: int = 4096,
        clock: Callable[[], float] = time.time,
    ) -> None:
        config = config or AgentConfig()
        references = load_references(config.reference_path)
        self._kept = writer_for(config)
        keeper = Keeper(self._kept.offer, self._look_whole) if self._kept is not None else None
        self._agent = Agent(
            config, Judge(), references=references, objectives=objectives or {}, clock=clock, keeper=keeper
        )
        self.host = ProbeHost(self._judge, capacity=capacity, clock=clock)
        self._servers: list[Server] = []
        self._pushes: dict[str, Push] = {}
        # A thread that is inside torch when the interpreter goes takes the whole process down with SIGABRT.
        atexit.register(self.close)

    def _judge(self, batch: Sequence[Observation]) -> None:
        self._agent.ingest(batch)
        self._agent.note_channel(self.host.channel.depth, self.host.channel.dropped)

    def _look_whole(self, model_id: int, phase: str) -> bool:
        return self.host.look_whole(model_id, phase)

    def snapshot(self) -> Snapshot:
        """Everything known now, judged up to now."""
        self.host.pump()
        scrapes = [server.outcomes for server in self._servers]
        ok, errors = sum(one.ok for one in scrapes), sum(one.error for one in scrapes)
        self._agent.note_exports(BY_SCRAPE, ok, errors, sum(one.seconds for one in scrapes))
        if self._kept is not None:
            self._agent.note_exports(TO_SNAPSHOTS, self._kept.ok, self._kept.errors, self._kept.seconds)
        for exporter, push in self._pushes.items():
            self._agent.note_exports(exporter, push.outcomes.ok, push.outcomes.error, push.outcomes.seconds)
        return self._agent.snapshot()

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, worst first; equal findings are one with a count."""
        return self._agent.findings()

    def serve(self, address: str = "127.0.0.1:9466", web_config_file: Path | None = None) -> Server:
        """Serve `/metrics`, `/-/healthy` and `/-/ready` at `host:port` until this agent is closed; 0 is any free port.

        `web_config_file`: TLS and users, in exporter-toolkit's format. Raises ConfigError when that does not hold,
        MachineError when the address is taken.
        """
        from locant_exporters.http import serve
        from locant_exporters.web_config import load_web_config

        web_config = load_web_config(web_config_file) if web_config_file is not None else None
        server = serve(self.snapshot, address=address, ready=lambda: True, web_config=web_config)
        self._servers.append(server)
        return server

    def push(self, exporter: str, export: Callable[[Snapshot], object], interval_seconds: float = 15.0) -> None:
        """Hand a snapshot to `export` every so often and once at the end, from a thread; counted as `exporter`.

        `exporter`: triton, mlflow or wandb. Raises ConfigError for any other, and for a second one of a name.
        """
        if exporter not in PUSHED:
            raise ConfigError(f"exporter {exporter!r} is not known; choose one of {', '.join(PUSHED)}")
        if exporter in self._pushes:
            raise ConfigError(f"exporter {exporter!r} is pushed already; one agent has one of a name")
        self._pushes[exporter] = Push(exporter, self.snapshot, lambda: export, interval_seconds).start()

    def pin_reference(self, path: str) -> None:
        """Write what was measured so far as the reference that later releases are compared with."""
        self.host.pump()
        self._agent.pin_reference(path)

    def close(self) -> None:
        """Take every probe off, judge the rest, end the thread and stop serving. At exit this happens by itself."""
        atexit.unregister(self.close)
        self.host.close()
        for push in self._pushes.values():
            push.close(_CLOSE_SECONDS)
        if self._kept is not None:
            self._kept.close(_CLOSE_SECONDS)
        for server in self._servers:
            server.close()
