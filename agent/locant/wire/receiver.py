"""The agent's end of the socket: many probes, bounded work, hostile frames counted and refused."""

from __future__ import annotations

import itertools
import logging
import selectors
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from locant.observation import Observation
from locant.wire.codec import decode, decode_losses
from locant.wire.frame import HEARS_REQUESTS, MAX_FRAME_BYTES, Frame, FrameError, FrameKind, pack, unpack
from locant.wire.listening import Listener, user_of
from locant.wire.peer import Peer, Probes
from locant.wire.request import LookRequest, Phase, encode_request
from locant_slo.errors import MachineError

_LOG = logging.getLogger(__name__)
_TEND_SECONDS = 1.0


class Deliver(Protocol):
    """Takes what one tick of the receiver read."""

    def __call__(self, observations: list[Observation]) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one agent puts up with. A probe says something every second: who is silent for long is none, or gone."""

    connections: int = 64
    accepts_per_tick: int = 128
    models_per_connection: int = 16
    frames_per_tick: int = 512
    errors_per_connection: int = 16
    silence_seconds: float = 60.0
    crowded_silence_seconds: float = 5.0  # ... when others wait for a place


class Receiver:
    """Listens at `path`. `poll` is called by the agent's one thread; nothing here runs by itself.

    `clock` gives monotonic seconds. `refused` counts frames and connections that were not taken, `lost` what probes
    say that they dropped, `gaps` frames that left a probe and never came.
    """

    def __init__(
        self,
        path: str,
        *,
        mode: int = 0o660,
        allowed_uids: frozenset[int] | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._limits = limits or Limits()
        self._listener = Listener(path, mode=mode, backlog=self._limits.connections)
        self._allowed_uids = allowed_uids
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._peers: dict[int, Peer] = {}
        self._probes = Probes()
        self._numbers = itertools.count(1)
        self._buffer = bytearray(MAX_FRAME_BYTES)
        self._next_tend = 0.0
        self._complained = False
        self.refused: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.gaps = 0
        self.frames = 0

    def open(self) -> None:
        """Bind and listen. Raises MachineError when the path is taken or cannot be made."""
        self._selector.register(self._listener.open(), selectors.EVENT_READ, None)

    @property
    def connections(self) -> int:
        """Probes connected now."""
        return len(self._peers)

    @property
    def listening(self) -> bool:
        """Whether a probe can find us."""
        return self._listener.socket is not None and not self._listener.lost()

    def poll(self, timeout_seconds: float, deliver: Deliver) -> int:
        """Read what waits and deliver it; how many frames that were. Bounded per peer, so that none starves another."""
        ready = self._selector.select(timeout_seconds)
        # Those who are here first: what they say must count before somebody new may take a silent one's place.
        read = sum(self._read(key.data, deliver) for key, _ in ready if key.data is not None)
        if any(key.data is None for key, _ in ready):
            self._accept()
        self._tend()
        self.frames += read
        return read

    def ask(self, model_id: int, phase: Phase) -> bool:
        """Ask the model's probe for a closer look at its next pass. False when it is gone, busy or does not listen."""
        for peer in self._peers.values():
            local = peer.local(model_id) if peer.hears else None
            if local is not None:
                return self._send(peer, encode_request(LookRequest(local, phase)))
        return False

    def _send(self, peer: Peer, payload: bytes) -> bool:
        assert peer.probe_id is not None
        frame = Frame(FrameKind.REQUEST, peer.probe_id, peer.asked, 0, 0.0, payload)
        try:
            peer.sock.send(pack(frame), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:  # whoever is gone is noticed when it is read from
            return False
        peer.asked += 1
        return True

    def close(self) -> None:
        """Hang up on everybody and remove the socket."""
        for peer in tuple(self._peers.values()):
            self._drop(peer)
        if self._listener.socket is not None:
            self._selector.unregister(self._listener.socket)
        self._listener.close()
        self._selector.close()

    def _accept(self) -> None:
        for _ in range(self._limits.accepts_per_tick):
            if self._listener.socket is None:
                return
            try:
                sock, _ = self._listener.socket.accept()
            except OSError:
                return
            reason = self._objection(sock)
            if reason:
                self.refused[reason] += 1
                sock.close()
                continue
            sock.setblocking(False)
            peer = self._peers[sock.fileno()] = Peer(sock, self._clock())
            self._selector.register(sock, selectors.EVENT_READ, peer)

    def _objection(self, sock: socket.socket) -> str:
        if self._allowed_uids is not None and user_of(sock) not in self._allowed_uids:
            return "credentials"
        if len(self._peers) >= self._limits.connections:
            self._hang_up_silent(self._limits.crowded_silence_seconds, at_most=1)
        return "too_many" if len(self._peers) >= self._limits.connections else ""

    def _tend(self) -> None:
        """Once a second: hang up on the silent, and listen again where the socket's file was removed."""
        now = self._clock()
        if now < self._next_tend:
            return
        self._next_tend = now + _TEND_SECONDS
        self._hang_up_silent(self._limits.silence_seconds, at_most=len(self._peers))
        if self._listener.socket is None or self._listener.lost():
            self._listen_again()

    def _listen_again(self) -> None:
        if self._listener.socket is not None:
            self._selector.unregister(self._listener.socket)
            self._listener.close()
        try:
            self._selector.register(self._listener.open(), selectors.EVENT_READ, None)
        except MachineError as error:
            if not self._complained:
                _LOG.error("the socket is gone and cannot be made again yet: %s", error)
            self._complained = True
            return
        self._complained = False
        _LOG.warning("the socket's file was removed; listening again")

    def _hang_up_silent(self, seconds: float, *, at_most: int) -> None:
        latest = self._clock() - seconds
        quiet = sorted((peer for peer in self._peers.values() if peer.heard <= latest), key=lambda peer: peer.heard)
        silent = (peer for peer in quiet if not _spoke(peer))
        for peer in itertools.islice(silent, at_most):
            self.refused["silent"] += peer.probe is None
            self._drop(peer)

    def _read(self, peer: Peer, deliver: Deliver) -> int:
        frames = 0
        while frames < self._limits.frames_per_tick:
            try:
                size, _, flags, _ = peer.sock.recvmsg_into([self._buffer])
            except BlockingIOError:
                break
            except ConnectionResetError:  # it left without reading what we asked; its last words still wait
                frames += 1
                continue
            except OSError:
                size, flags = 0, 0
            if not size:
                self._drop(peer)
                break
            frames += 1
            try:
                self._take(peer, size, bool(flags & socket.MSG_TRUNC), deliver)
            except FrameError as error:
                self.refused[error.reason] += 1
                peer.errors += 1
                if peer.errors > self._limits.errors_per_connection:
                    self._drop(peer)
                    break
        return frames

    def _take(self, peer: Peer, size: int, truncated: bool, deliver: Deliver) -> None:
        if truncated:
            raise FrameError("oversize")
        frame = unpack(bytes(memoryview(self._buffer)[:size]))
        if peer.probe is None or peer.probe_id != frame.probe_id:
            peer.probe, peer.probe_id, peer.introduced = self._probes.recall(frame), frame.probe_id, set()
        peer.heard, probe, peer.hears = self._clock(), peer.probe, bool(frame.flags & HEARS_REQUESTS)
        self.gaps += probe.follow(frame)
        if frame.kind == FrameKind.OBSERVATIONS:
            observations, unknown = decode(frame.payload)
            self.refused["unknown_kind"] += unknown
            limit = self._limits.models_per_connection
            deliver([probe.renumber(one, peer.introduced, limit, self._numbers.__next__) for one in observations])
        elif frame.kind == FrameKind.HEARTBEAT:
            self.lost += probe.losses(decode_losses(frame.payload))
        else:
            self.refused["unknown_kind"] += 1

    def _drop(self, peer: Peer) -> None:
        """Hang up. The probe's models stay: one that goes silent without a word must alert, not vanish."""
        if peer.probe is not None:
            self.lost += peer.probe.losses({})
        self._selector.unregister(peer.sock)
        del self._peers[peer.sock.fileno()]
        peer.sock.close()


def _spoke(peer: Peer) -> bool:
    """Whether something waits to be read: it was the agent that stood still, and not the probe."""
    try:
        return bool(peer.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False
