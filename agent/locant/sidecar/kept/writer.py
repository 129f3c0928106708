"""Keeps passes on a thread of its own: neither the agent nor a model waits for a disk."""

from __future__ import annotations

import logging
import queue
import threading
import time
from pathlib import Path

from locant.sidecar.config import AgentConfig
from locant.sidecar.kept.passes import KeptPass
from locant.sidecar.kept.store import KeptStore, open_store
from locant_slo.errors import MachineError

_LOG = logging.getLogger("locant.agent")
_WAITING = 16


def writer_for(config: AgentConfig) -> KeptWriter | None:
    """The writer that the configuration asks for; None when it asks for none."""
    if config.snapshot_path is None:
        return None
    return KeptWriter(config.snapshot_path, config.snapshot_limit_bytes, config.snapshot_age_seconds)


class KeptWriter:
    """A bounded queue before the store; what does not fit or cannot be written counts in `errors`, and is said once."""

    def __init__(self, path: Path, limit_bytes: int, age_seconds: float) -> None:
        self._path = path
        self._limits = (limit_bytes, age_seconds)
        self._waiting: queue.Queue[KeptPass | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._complained = False
        self.ok = 0
        self.errors = 0
        self.seconds = 0.0

    def offer(self, kept: KeptPass) -> bool:
        """Hand a pass over; False, and counted, when too many wait already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="locant-kept", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(kept)
        except queue.Full:
            self.errors += 1
            return False
        return True

    def close(self, deadline_seconds: float) -> None:
        """Write what waits, at most so long."""
        if self._thread is None:
            return
        try:
            self._waiting.put(None, timeout=deadline_seconds)
        except queue.Full:
            return
        self._thread.join(deadline_seconds)

    def _run(self) -> None:
        store: KeptStore | None = None
        while (kept := self._waiting.get()) is not None:
            began = time.monotonic()
            try:
                store = store or open_store(self._path, *self._limits)
                store.put(kept)
                self.ok += 1
            except Exception as error:  # the thread must outlive a full disk
                self._failed(error)
            self.seconds += time.monotonic() - began
        if store is not None:
            store.close()

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        if not self._complained:
            self._complained = True
            said = str(error) if isinstance(error, MachineError) else f"{self._path}: a pass was not kept ({error})"
            _LOG.error("%s; trying again with the next one", said)
