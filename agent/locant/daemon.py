"""The agent as a process of its own: socket in, `/metrics` and OTLP out, signals in between."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

from locant.observation import Observation
from locant.pushers import pushers
from locant.sidecar.config import AgentConfig
from locant.sidecar.judge import Judge
from locant.sidecar.kept.keeper import Keeper
from locant.sidecar.kept.writer import writer_for
from locant.sidecar.references import load_references
from locant.sidecar.service import Agent
from locant.sidecar.state_file import StateWriter, load_state
from locant.sidecar.usage import own_usage
from locant.wire.receiver import Receiver
from locant_exporters.http import Server, serve
from locant_exporters.web_config import load_web_config
from locant_slo.catalogue.labels import BY_SCRAPE, TO_SNAPSHOTS, TO_STATE
from locant_slo.errors import LocantError

_log = logging.getLogger(__name__)
_TICK_SECONDS = 0.05
_EXPORT_DEADLINE_SECONDS = 5.0
_STALLED_SECONDS = 10.0
_LAST_READ_SECONDS = 1.0
_TEND_SECONDS = 1.0
_QUIET_SECONDS = 60.0
_FIXED = (
    "web_listen_address",
    "web_config_file",
    "socket_path",
    "socket_mode",
    "socket_allowed_uids",
    "otlp_endpoint",
    "otlp_interval_seconds",
    "mlflow_run_id",
    "wandb_run_id",
    "tracker_interval_seconds",
    "state_path",
    "snapshot_path",
    "snapshot_limit_bytes",
    "snapshot_age_seconds",
)
"""Settings of what is opened once; a reload that changes them says so."""
_REASONS = {
    "truncated": "decode_error",
    "magic": "decode_error",
    "payload": "decode_error",
    "oversize": "oversize",
    "unknown_model": "invalid",
}
"""The receiver's reasons in the catalogue's words; every other one is a peer or a frame that was refused."""

Reload = Callable[[], AgentConfig]
"""Reads the configuration again; raises ConfigError when it does not hold."""


class Daemon:
    """One agent process. `run` serves until `stop`; everything it opened is closed when it returns."""

    def __init__(self, config: AgentConfig, reload: Reload) -> None:
        self._config = config
        self._reload = reload
        self._receiver = Receiver(
            str(config.socket_path),
            mode=config.socket_mode,
            allowed_uids=frozenset(config.socket_allowed_uids) or None,
            clock=time.monotonic,
        )
        self._kept = writer_for(config)
        keeper = Keeper(self._kept.offer, self._receiver.ask) if self._kept is not None else None
        references = load_references(config.reference_path)
        self._agent = Agent(config, Judge(), references=references, usage=own_usage, keeper=keeper)
        self._pushers = pushers(config, self._agent.snapshot)
        self._state = StateWriter(config.state_path) if config.state_path is not None else None
        self._stopping = threading.Event()
        self._reloading = threading.Event()
        self._applying = threading.Lock()
        self._save_seconds = config.state_interval_seconds
        self._ticked: float | None = None
        self._next_tend = self._next_save = self._quiet_until = 0.0
        self._found = self._most_found = 0  # observations that one reading found, and the most since the last `_tend`

    def readiness(self) -> bool | str:
        """True while observations are taken; else why not."""
        if self._stopping.is_set():
            return "The agent is stopping"
        if self._ticked is None:
            return "The agent is starting"
        if time.monotonic() - self._ticked > _STALLED_SECONDS:
            return f"No observation was read for {time.monotonic() - self._ticked:.0f} seconds"
        if not self._receiver.listening:
            return f"The socket {self._config.socket_path} is gone; no probe can find the agent"
        return True

    def run(self, announce: Callable[[str], None] = lambda _: None) -> None:
        """Open everything, serve until stopped, flush and close. `announce` gets the address of the metrics page."""
        if self._config.state_path is not None:
            self._agent.restore(load_state(self._config.state_path))
        with ExitStack() as closing:
            server = self._open_web()
            closing.callback(server.close)
            for pusher in self._pushers.values():
                closing.callback(pusher.close, _EXPORT_DEADLINE_SECONDS)
            self._receiver.open()
            closing.callback(self._finish)
            for pusher in self._pushers.values():
                pusher.start()
            self._ticked = time.monotonic()
            announce(f"{server.scheme}://{self._host() or 'localhost'}:{server.port}/metrics")
            while not self._stopping.is_set():
                self._go_on(server)

    def _finish(self) -> None:
        """What was sent until now is read, kept and saved; exports and the page, which close after it, have it all."""
        self._stopping.set()
        self._read_the_rest()
        self._receiver.close()
        if self._state is not None:
            self._state.finish(self._agent.saved(), _EXPORT_DEADLINE_SECONDS)
        if self._kept is not None:
            self._kept.close(_EXPORT_DEADLINE_SECONDS)

    def _host(self) -> str:
        return self._config.web_listen_address.rpartition(":")[0]

    def _read_the_rest(self) -> None:
        """Before the end: what probes sent until now, for as long as a second, and what they lost."""
        deadline = time.monotonic() + _LAST_READ_SECONDS
        try:
            while self._receiver.poll(0.0, self._agent.ingest) and time.monotonic() < deadline:
                continue
            self._agent.note_channel(0, self._losses())
        except Exception:
            _log.exception("what probes sent last could not be read")

    def stop(self) -> None:
        """End `run` after the current tick."""
        self._stopping.set()

    def request_reload(self) -> None:
        """Read the configuration again at the next tick."""
        self._reloading.set()

    def reload(self) -> None:
        """Read the configuration again now. Raises ConfigError, and the old one stays, when it does not hold."""
        with self._applying:
            config = self._reload()
            self._agent.reconfigure(config, load_references(config.reference_path))
            self._save_seconds = config.state_interval_seconds
            changed = [name for name in _FIXED if getattr(config, name) != getattr(self._config, name)]
        _log.info("configuration read again")
        if changed:
            _log.warning("%s: changed, but takes effect at the next start only", ", ".join(changed))

    def _go_on(self, server: Server) -> None:
        """One tick; what nobody foresaw is logged at most once a minute, and costs that tick alone."""
        try:
            self._tick(server)
        except Exception:
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + _QUIET_SECONDS
                _log.exception("a tick of the agent failed; going on")
            self._stopping.wait(_TICK_SECONDS)

    def _tick(self, server: Server) -> None:
        began = time.monotonic()
        self._found = 0
        self._receiver.poll(_TICK_SECONDS, self._take)
        self._most_found = max(self._most_found, self._found)
        self._ticked = time.monotonic()
        if began >= self._next_tend:
            self._next_tend = began + _TEND_SECONDS
            self._tend(server)
        if self._reloading.is_set():
            self._reloading.clear()
            self._obey_reload()
        # One wake-up per observation would cost ten times the work itself: let a tick's worth gather.
        self._stopping.wait(max(0.0, _TICK_SECONDS - (time.monotonic() - began)))

    def _take(self, observations: list[Observation]) -> None:
        self._found += len(observations)
        self._agent.ingest(observations)

    def _tend(self, server: Server) -> None:
        """Once a second: what was lost on the way here, and how the exporters fare."""
        self._agent.note_channel(self._most_found, self._losses())
        self._most_found = 0
        outcomes = {BY_SCRAPE: server.outcomes} | {name: pusher.outcomes for name, pusher in self._pushers.items()}
        for exporter, outcome in outcomes.items():
            self._agent.note_exports(exporter, outcome.ok, outcome.error, outcome.seconds)
        if self._kept is not None:
            self._agent.note_exports(TO_SNAPSHOTS, self._kept.ok, self._kept.errors, self._kept.seconds)
        if self._state is not None:
            if time.monotonic() >= self._next_save:
                self._next_save = time.monotonic() + self._save_seconds
                self._state.save(self._agent.saved())
            self._agent.note_exports(TO_STATE, self._state.ok, self._state.errors, self._state.seconds)

    def _losses(self) -> Counter[str]:
        losses = Counter({"lost": self._receiver.gaps})
        for reason, count in self._receiver.refused.items():
            losses[_REASONS.get(reason, "refused")] += count
        for reason, count in self._receiver.lost.items():
            losses[reason] += count
        return losses

    def _obey_reload(self) -> None:
        try:
            self.reload()
        except LocantError as error:
            _log.error("the new configuration does not hold, the old one stays: %s", error)

    def _open_web(self) -> Server:
        path = self._config.web_config_file
        return serve(
            self._agent.snapshot,
            address=self._config.web_listen_address,
            ready=self.readiness,
            reload=self.reload,
            web_config=load_web_config(path) if path is not None else None,
        )
