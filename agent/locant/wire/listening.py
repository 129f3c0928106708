"""The agent's listening socket: bound with the right mode, and bound again when somebody removed its file."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from pathlib import Path

from locant_slo.errors import MachineError

_RECEIVE_BUFFER_BYTES = 1 << 20
_CREDENTIALS = struct.Struct("3i")


class Listener:
    """A socket file at `path`. A file that is no socket, or that another agent serves, is never touched."""

    def __init__(self, path: str, *, mode: int, backlog: int) -> None:
        self._path = path
        self._mode = mode
        self._backlog = backlog
        self._inode: int | None = None
        self.socket: socket.socket | None = None

    def open(self) -> socket.socket:
        """Bind and listen. Raises MachineError when the path is taken or cannot be made."""
        _remove_stale(self._path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            _bind(listener, self._path, self._mode)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            listener.listen(self._backlog)
            listener.setblocking(False)
            self._inode = os.lstat(self._path).st_ino
        except OSError as error:
            listener.close()
            raise MachineError(
                f"cannot listen at {self._path}: {error.strerror}; choose a folder that exists and is writable"
            ) from error
        self.socket = listener
        return listener

    def lost(self) -> bool:
        """Whether the file is gone, so that no probe can find us any more. (Somebody else's file there is not ours.)"""
        try:
            os.lstat(self._path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Stop listening and remove the file, if it is still ours."""
        if self.socket is None:
            return
        self.socket.close()
        self.socket = None
        try:
            if os.lstat(self._path).st_ino == self._inode:
                Path(self._path).unlink()
        except OSError:
            return


def user_of(peer: socket.socket) -> int:
    """The user id at the other end, as the kernel knows it."""
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def _bind(listener: socket.socket, path: str, mode: int) -> None:
    previous = os.umask(0o777 & ~mode)
    try:
        listener.bind(path)
    finally:
        os.umask(previous)


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody serves any more; refuse to touch anything else."""
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise MachineError(f"{path} is there and is no socket; remove it or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.setblocking(False)
        answer = probe.connect_ex(path)
    if answer not in (errno.ECONNREFUSED, errno.ENOENT):
        raise MachineError(f"{path} is served by another agent; stop it or choose another path")
    Path(path).unlink(missing_ok=True)
