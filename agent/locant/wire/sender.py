"""The probe's end of the socket: it never blocks, never raises, and counts what it drops."""

from __future__ import annotations

import os
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence

from locant.observation import ModelAttached, Observation
from locant.wire.codec import encode
from locant.wire.frame import Frame, FrameError, FrameKind, pack

_SEND_BUFFER_BYTES = 1 << 20
_RECONNECT_SECONDS = (0.5, 1.5)
"""Bounds of the random pause between attempts: many probes must not storm a restarted agent together."""
_HEARTBEAT_SECONDS = 1.0
_BATCH = 64


class Sender:
    """One connection to the agent. Used by one thread at a time; safe across fork, spawn and exec."""

    def __init__(
        self,
        path: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._path = path
        self._clock = clock
        self._wall_clock = wall_clock
        self._jitter = jitter
        self._dropped: Counter[str] = Counter()
        self._attached: dict[int, ModelAttached] = {}
        self._socket: socket.socket | None = None
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self.probe_id = int.from_bytes(os.urandom(8), "little")
        self._sequence = 0
        self._next_attempt = 0.0
        self._last_sent = 0.0

    @property
    def dropped(self) -> dict[str, int]:
        """Observations that never left, by reason."""
        return dict(self._dropped)

    @property
    def connected(self) -> bool:
        """Whether the agent was there the last time we looked."""
        return self._socket is not None

    def send(self, observations: Sequence[Observation]) -> int:
        """Hand some observations to the kernel; how many it took. What it does not take is dropped and counted."""
        connected = self._connect()
        self._attached.update({one.model_id: one for one in observations if isinstance(one, ModelAttached)})
        if not connected:
            self._dropped["disconnected"] += len(observations)
            return 0
        return sum(self._send_batch(observations[at : at + _BATCH]) for at in range(0, len(observations), _BATCH))

    def heartbeat(self) -> None:
        """Tell the agent that we live and what we dropped, at most once a second."""
        if self._clock() - self._last_sent >= _HEARTBEAT_SECONDS and self._connect():
            self._transmit(FrameKind.HEARTBEAT, b"")

    def close(self) -> None:
        """Say the last count and hang up."""
        if self._socket is not None and self._pid == os.getpid():
            self._transmit(FrameKind.HEARTBEAT, b"")
        self._hang_up()

    def _send_batch(self, batch: Sequence[Observation]) -> int:
        try:
            reason = self._transmit(FrameKind.OBSERVATIONS, encode(batch))
        except FrameError as error:
            reason = error.reason
        if reason == "oversize" and len(batch) > 1:
            half = len(batch) // 2
            return self._send_batch(batch[:half]) + self._send_batch(batch[half:])
        if reason:
            self._dropped[reason] += len(batch)
            return 0
        return len(batch)

    def _transmit(self, kind: FrameKind, payload: bytes) -> str:
        """Send one frame; the empty string, or why it did not go."""
        if self._socket is None:
            return "disconnected"
        dropped = sum(self._dropped.values())
        data = pack(Frame(kind, self.probe_id, self._sequence, dropped, self._wall_clock(), payload))
        try:
            self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return "queue_full"
        except OSError as error:
            if len(data) > _SEND_BUFFER_BYTES // 8 and error.errno in _TOO_LARGE:
                return "oversize"
            self._hang_up()
            return "disconnected"
        self._sequence += 1
        self._last_sent = self._clock()
        return ""

    def _connect(self) -> bool:
        if self._pid != os.getpid():
            self._socket = None  # the parent's connection: its frames are not ours
            self._begin()
        if self._socket is not None:
            return True
        if self._clock() < self._next_attempt:
            return False
        self._next_attempt = self._clock() + self._jitter(*_RECONNECT_SECONDS)
        return self._dial()

    def _dial(self) -> bool:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            peer.setblocking(False)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            peer.connect(self._path)
        except OSError:
            peer.close()
            return False
        self._socket = peer
        return self._send_batch(tuple(self._attached.values())) == len(self._attached) if self._attached else True

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


_TOO_LARGE = frozenset({90})  # EMSGSIZE: the kernel's buffer is smaller than we asked for
