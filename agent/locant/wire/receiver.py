"""The agent's end of the socket: many probes, bounded work, hostile frames counted and refused."""

from __future__ import annotations

import errno
import itertools
import os
import selectors
import socket
import stat
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from locant.observation import ModelAttached, Observation
from locant.wire.codec import decode
from locant.wire.frame import MAX_FRAME_BYTES, Frame, FrameError, FrameKind, unpack
from locant_slo.errors import MachineError

_RECEIVE_BUFFER_BYTES = 1 << 20
_REMEMBERED_MODELS = 1024
_CREDENTIALS = struct.Struct("3i")


class Deliver(Protocol):
    """Takes what one tick of the receiver read."""

    def __call__(self, observations: list[Observation]) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one agent puts up with."""

    connections: int = 64
    models_per_connection: int = 16
    frames_per_tick: int = 512
    errors_per_connection: int = 16


@dataclass(slots=True)
class _Peer:
    """One connected probe: how its model ids translate, and what it has lost."""

    sock: socket.socket
    models: dict[int, int]
    probe_id: int | None = None
    next_sequence: int = 0
    dropped: int = 0
    errors: int = 0


class Receiver:
    """Listens at `path`. `poll` is called by the agent's one thread; nothing here runs by itself."""

    def __init__(
        self,
        path: str,
        *,
        mode: int = 0o660,
        allowed_uids: frozenset[int] | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._path = path
        self._mode = mode
        self._allowed_uids = allowed_uids
        self._limits = limits or Limits()
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._peers: dict[int, _Peer] = {}
        self._model_ids: dict[tuple[int, int], int] = {}
        self._numbers = itertools.count(1)
        self.refused: Counter[str] = Counter()
        self.lost = 0  # observations that probes dropped before they reached us
        self.gaps = 0  # frames that left a probe and never came
        self.frames = 0

    def open(self) -> None:
        """Bind and listen. Raises MachineError when the path is taken or cannot be made."""
        _remove_stale(self._path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            previous = os.umask(0o777 & ~self._mode)
            try:
                listener.bind(self._path)
            finally:
                os.umask(previous)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            listener.listen(self._limits.connections)
        except OSError as error:
            listener.close()
            raise MachineError(
                f"cannot listen at {self._path}: {error.strerror}; choose a folder that exists and is writable"
            ) from error
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, None)

    @property
    def connections(self) -> int:
        """Probes connected now."""
        return len(self._peers)

    def poll(self, timeout_seconds: float, deliver: Deliver) -> int:
        """Read what waits and deliver it; how many frames that were. Bounded per peer, so that none starves another."""
        read = 0
        for key, _ in self._selector.select(timeout_seconds):
            if key.data is None:
                self._accept()
            else:
                read += self._read(key.data, deliver)
        self.frames += read
        return read

    def close(self) -> None:
        """Hang up on everybody and remove the socket."""
        for peer in tuple(self._peers.values()):
            self._drop(peer)
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            _remove_stale(self._path)
        self._selector.close()

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        reason = self._objection(sock)
        if reason:
            self.refused[reason] += 1
            sock.close()
            return
        sock.setblocking(False)
        peer = _Peer(sock, {})
        self._peers[sock.fileno()] = peer
        self._selector.register(sock, selectors.EVENT_READ, peer)

    def _objection(self, sock: socket.socket) -> str:
        if len(self._peers) >= self._limits.connections:
            return "too_many"
        if self._allowed_uids is None:
            return ""
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return "" if _CREDENTIALS.unpack(raw)[1] in self._allowed_uids else "credentials"

    def _read(self, peer: _Peer, deliver: Deliver) -> int:
        frames = 0
        while frames < self._limits.frames_per_tick:
            try:
                data, _, flags, _ = peer.sock.recvmsg(MAX_FRAME_BYTES)
            except BlockingIOError:
                break
            except OSError:
                data, flags = b"", 0
            if not data:
                self._drop(peer)
                break
            frames += 1
            try:
                self._take(peer, unpack(data) if not flags & socket.MSG_TRUNC else _oversize(), deliver)
            except FrameError as error:
                self.refused[error.reason] += 1
                peer.errors += 1
                if peer.errors > self._limits.errors_per_connection:
                    self._drop(peer)
                    break
        return frames

    def _take(self, peer: _Peer, frame: Frame, deliver: Deliver) -> None:
        if peer.probe_id != frame.probe_id:
            peer.probe_id, peer.next_sequence, peer.dropped = frame.probe_id, frame.sequence, 0
        self.gaps += max(0, frame.sequence - peer.next_sequence)
        self.lost += max(0, frame.dropped_total - peer.dropped)
        peer.next_sequence, peer.dropped = frame.sequence + 1, max(peer.dropped, frame.dropped_total)
        if frame.kind == FrameKind.OBSERVATIONS:
            observations, unknown = decode(frame.payload)
            self.refused["unknown_kind"] += unknown
            deliver([self._renumber(peer, one) for one in observations])
        elif frame.kind != FrameKind.HEARTBEAT:
            self.refused["unknown_kind"] += 1

    def _renumber(self, peer: _Peer, observation: Observation) -> Observation:
        """Every probe counts its models from 1: give each a number of its own here."""
        local = observation.model_id
        if local not in peer.models:
            if len(peer.models) >= self._limits.models_per_connection or not isinstance(observation, ModelAttached):
                raise FrameError("unknown_model")
            peer.models[local] = self._global_id(peer.probe_id or 0, local)
        return replace(observation, model_id=peer.models[local])

    def _global_id(self, probe_id: int, local: int) -> int:
        """The same number again when a probe comes back; the oldest are forgotten."""
        number = self._model_ids.pop((probe_id, local), 0) or next(self._numbers)
        self._model_ids[probe_id, local] = number
        while len(self._model_ids) > _REMEMBERED_MODELS:
            del self._model_ids[next(iter(self._model_ids))]
        return number

    def _drop(self, peer: _Peer) -> None:
        """Hang up. The probe's models stay: one that goes silent without a word must alert, not vanish."""
        self._selector.unregister(peer.sock)
        del self._peers[peer.sock.fileno()]
        peer.sock.close()


def _oversize() -> Frame:
    raise FrameError("oversize")


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody serves any more; refuse to touch anything else."""
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise MachineError(f"{path} is there and is no socket; remove it or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        answer = probe.connect_ex(path)
    if answer not in (errno.ECONNREFUSED, errno.ENOENT):
        raise MachineError(f"{path} is served by another agent; stop it or choose another path")
    Path(path).unlink()
