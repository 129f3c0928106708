"""The agent as a process of its own: socket in, `/metrics` and OTLP out, signals in between."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from locant.sidecar.config import AgentConfig
from locant.sidecar.judge import Judge
from locant.sidecar.references import load_references
from locant.sidecar.service import Agent
from locant.wire.receiver import Receiver
from locant_exporters.http import Server, serve
from locant_exporters.otlp import OtlpPusher
from locant_exporters.web_config import load_web_config
from locant_slo.errors import ConfigError

_log = logging.getLogger(__name__)
_TICK_SECONDS = 0.05
_EXPORT_DEADLINE_SECONDS = 5.0

Reload = Callable[[], AgentConfig]
"""Reads the configuration again; raises ConfigError when it does not hold."""


class Daemon:
    """One agent process. `run` serves until `stop`; everything it opened is closed when it returns."""

    def __init__(self, config: AgentConfig, reload: Reload) -> None:
        self._config = config
        self._reload = reload
        self._agent = Agent(config, Judge(), references=load_references(config.reference_path))
        self._lock = threading.Lock()
        self._receiver = Receiver(
            str(config.socket_path),
            mode=config.socket_mode,
            allowed_uids=frozenset(config.socket_allowed_uids) or None,
            clock=time.time,
        )
        self._stopping = threading.Event()
        self._reloading = threading.Event()
        self._ready = threading.Event()

    @property
    def ready(self) -> bool:
        """Whether the socket is open and the loop runs."""
        return self._ready.is_set() and not self._stopping.is_set()

    def run(self, announce: Callable[[str], None] = lambda _: None) -> None:
        """Open everything, serve until stopped, flush and close. `announce` gets the address of the metrics page."""
        server = self._open_web()
        try:
            self._receiver.open()
        except BaseException:
            server.close()
            raise
        pusher = self._open_otlp()
        announce(f"http://{self._config.web_listen_address.rpartition(':')[0] or 'localhost'}:{server.port}/metrics")
        self._ready.set()
        try:
            while not self._stopping.is_set():
                self._tick()
        finally:
            self._ready.clear()
            self._receiver.close()
            if pusher is not None:
                pusher.close(_EXPORT_DEADLINE_SECONDS)
            server.close()

    def stop(self) -> None:
        """End `run` after the current tick."""
        self._stopping.set()

    def request_reload(self) -> None:
        """Read the configuration again at the next tick."""
        self._reloading.set()

    def _tick(self) -> None:
        began = time.monotonic()
        self._receiver.poll(_TICK_SECONDS, self._agent.ingest)
        self._agent.note_channel(0, dict(self._losses()))
        if self._reloading.is_set():
            self._reloading.clear()
            self._apply_reload()
        # One wake-up per observation would cost ten times the work itself: let a tick's worth gather.
        self._stopping.wait(max(0.0, _TICK_SECONDS - (time.monotonic() - began)))

    def _losses(self) -> Counter[str]:
        losses = Counter({"invalid": self._receiver.refused.total()})
        losses["queue_full"] += self._receiver.lost
        return losses

    def _apply_reload(self) -> None:
        try:
            config = self._reload()
            self._agent.reconfigure(config, load_references(config.reference_path))
        except ConfigError as error:
            _log.error("the new configuration does not hold, the old one stays: %s", error)
            return
        _log.info("configuration read again")

    def _open_web(self) -> Server:
        path = self._config.web_config_file
        return serve(
            self._agent.snapshot,
            address=self._config.web_listen_address,
            ready=lambda: self.ready,
            web_config=load_web_config(Path(path)) if path else None,
        )

    def _open_otlp(self) -> OtlpPusher | None:
        if self._config.otlp_endpoint is None:
            return None
        return OtlpPusher(
            self._agent.snapshot,
            endpoint=self._config.otlp_endpoint,
            interval_seconds=self._config.otlp_interval_seconds,
        )


def obey_signals(daemon: Daemon) -> None:
    """SIGTERM and SIGINT stop the daemon, SIGHUP makes it read its configuration again. Main thread only."""

    def stop(number: int, frame: FrameType | None) -> None:
        daemon.stop()

    def reload(number: int, frame: FrameType | None) -> None:
        daemon.request_reload()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, reload)
