"""The agent in another process: observations leave through a Unix socket, and nothing here ever waits for it."""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable

from locant.host import ProbeHost
from locant.wire.request import LookRequest
from locant.wire.sender import Sender
from locant_slo.errors import LocantError
from locant_slo.findings import Finding
from locant_slo.snapshot import Snapshot


class RemoteAgent:
    """The probes of this process, reporting to the agent that listens at `path`."""

    def __init__(self, path: str, *, capacity: int = 4096, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._sender = Sender(
            path, wall_clock=clock, losses=lambda: self.host.channel.dropped, on_request=self._look_whole
        )
        self.host = ProbeHost(self._sender.send, capacity=capacity, clock=clock, idle=self._converse)
        atexit.register(self.close)

    @property
    def connected(self) -> bool:
        """Whether the agent was there the last time we looked."""
        return self._sender.connected

    def snapshot(self) -> Snapshot:
        """Not here: raises LocantError that says where."""
        raise self._elsewhere()

    def findings(self) -> tuple[Finding, ...]:
        """Not here: raises LocantError that says where."""
        raise self._elsewhere()

    def close(self) -> None:
        """Take every probe off and say goodbye; what the agent does not take is counted as dropped."""
        atexit.unregister(self.close)
        self.host.close()
        self._sender.close()

    def _converse(self) -> None:
        self._sender.heartbeat()
        self._sender.listen()

    def _look_whole(self, request: LookRequest | None) -> None:
        if request is None:
            self.host.refuse_request()
        else:
            self.host.look_whole(request.model_id, request.phase)

    def _elsewhere(self) -> LocantError:
        return LocantError(
            f"this process only reports; findings and metrics are with the agent that listens at {self._path}"
        )
