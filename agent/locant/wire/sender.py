"""The probe's end of the socket: it never blocks, never raises, and counts what it drops."""

from __future__ import annotations

import errno
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from locant.observation import Detached, ModelAttached, Observation
from locant.wire.codec import encode, encode_losses
from locant.wire.frame import HEARS_REQUESTS, Frame, FrameError, FrameKind, pack
from locant.wire.request import Heard, LookRequest, hear

_SEND_BUFFER_BYTES = 1 << 20
_RECONNECT_SECONDS = (0.5, 1.5)
"""Bounds of the random pause between attempts: many probes must not storm a restarted agent together."""
_HEARTBEAT_SECONDS = 1.0
_BATCH = 64
_LAST_READS = 64
_OF_ONE = frozenset({"oversize", "invalid"})
"""Reasons that may be one observation's fault: the rest of its batch still goes."""
_REASONS = {
    errno.EAGAIN: "queue_full",
    errno.ENOBUFS: "queue_full",
    errno.ENOMEM: "queue_full",
    errno.EMSGSIZE: "oversize",  # the kernel's buffer is smaller than we asked for
}


class Sender:
    """One connection to the agent. Used by one thread at a time; safe across fork, spawn and exec.

    `losses` gives what was dropped on the way here, by reason: it travels with this end's own losses. `on_request` gets
    what the agent asks for, and None for whatever else it says; without it nothing is read, and the agent is told so.
    """

    def __init__(
        self,
        path: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = random.uniform,
        losses: Callable[[], Mapping[str, int]] = dict,
        on_request: Callable[[LookRequest | None], object] | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._wall_clock = wall_clock
        self._jitter = jitter
        self._losses = losses
        self._on_request = on_request
        self._dropped: Counter[str] = Counter()
        self._attached: dict[int, ModelAttached] = {}
        self._socket: socket.socket | None = None
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self.probe_id = int.from_bytes(os.urandom(8), "little")
        self._sequence = 0
        self._next_attempt = 0.0
        self._next_heartbeat = 0.0

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
        self._remember(observations)
        if not connected:
            self._dropped["disconnected"] += len(observations)
            return 0
        return sum(self._send_batch(observations[at : at + _BATCH]) for at in range(0, len(observations), _BATCH))

    def heartbeat(self) -> None:
        """Tell the agent that we live and what we dropped, once a second."""
        if self._clock() >= self._next_heartbeat and self._connect():
            self._beat()

    def listen(self) -> None:
        """Hand on what the agent asked for since the last call. A fork's child leaves its parent's answers alone."""
        if self._on_request is None or self._socket is None or self._pid != os.getpid():
            return
        heard = hear(self._socket, self.probe_id)
        if heard.ended:
            self._hang_up()
        for request in (*heard.requests, *[None] * heard.others):
            self._on_request(request)

    def close(self) -> None:
        """Say the last count and hang up. What is left unread would reset the connection, last words included."""
        if self._pid == os.getpid() and self._socket is not None:
            self._beat()
            self._read_up()
        self._hang_up()

    def _read_up(self) -> None:
        for _ in range(_LAST_READS):
            if self._socket is None or hear(self._socket, self.probe_id) == Heard():
                return

    def _remember(self, observations: Sequence[Observation]) -> None:
        """Models in attendance: who they are is told again to every agent that we reach."""
        for one in observations:
            if isinstance(one, ModelAttached):
                self._attached[one.model_id] = one
            elif isinstance(one, Detached):
                self._attached.pop(one.model_id, None)

    def _beat(self) -> None:
        self._next_heartbeat = self._clock() + _HEARTBEAT_SECONDS
        self._transmit(FrameKind.HEARTBEAT, encode_losses(self._all_losses()))

    def _all_losses(self) -> Counter[str]:
        return self._dropped + Counter(self._losses())

    def _send_batch(self, batch: Sequence[Observation]) -> int:
        try:
            reason = self._transmit(FrameKind.OBSERVATIONS, encode(batch))
        except FrameError as error:
            reason = error.reason
        except (TypeError, ValueError, OverflowError):
            reason = "invalid"
        if reason in _OF_ONE and len(batch) > 1:
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
        dropped = self._all_losses().total()
        flags = HEARS_REQUESTS if self._on_request is not None else 0
        data = pack(Frame(kind, self.probe_id, self._sequence, dropped, self._wall_clock(), payload, flags))
        try:
            self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, "disconnected")
            if reason == "disconnected":
                self._hang_up()
            return reason
        self._sequence += 1
        return ""

    def _connect(self) -> bool:
        if self._pid != os.getpid():
            self._hang_up()  # closes our copy; the parent's connection lives on
            self._dropped.clear()
            self._begin()
        if self._socket is not None:
            return True
        if self._clock() < self._next_attempt:
            return False
        self._next_attempt = self._clock() + self._jitter(*_RECONNECT_SECONDS)
        return self._dial()

    def _dial(self) -> bool:
        try:
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:  # the process has no descriptor left
            return False
        try:
            peer.setblocking(False)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            peer.connect(self._path)
        except OSError:
            peer.close()
            return False
        self._socket = peer
        known = tuple(self._attached.values())
        if known and self._send_batch(known) != len(known):
            self._hang_up()  # an agent that was not told of a model refuses everything about it
        return self._socket is not None

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
