"""The open connections of a server: how many, since when, and which one goes when there are too many."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Connection:
    """One client. `socket` is replaced when TLS wraps it; `asked` turns true once its request was read."""

    socket: socket.socket
    opened_seconds: float
    asked: bool = False

    def hang_up(self) -> None:
        """Wake the thread that reads or writes it. (SSLSocket.shutdown would pull the TLS state from under it.)"""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class Connections:
    """At most `limit` connections, none older than `lifetime_seconds`.

    When all places are taken the oldest client that has not asked for anything yet makes room: silent clients can
    never keep a scrape out. `monotonic` gives seconds.
    """

    def __init__(self, limit: int, lifetime_seconds: float, monotonic: Callable[[], float]) -> None:
        self._limit = limit
        self._lifetime_seconds = lifetime_seconds
        self._monotonic = monotonic
        self._open: dict[Connection, None] = {}  # in order of arrival
        self._lock = threading.Condition()

    def admit(self, client: socket.socket) -> Connection | None:
        """The new connection, or None when every place is taken by a client that is being answered."""
        with self._lock:
            if len(self._open) >= self._limit:
                silent = next((connection for connection in self._open if not connection.asked), None)
                if silent is None:
                    return None
                silent.hang_up()
                del self._open[silent]
            connection = Connection(client, self._monotonic())
            self._open[connection] = None
            return connection

    def forget(self, connection: Connection) -> None:
        """The connection's thread is done with it."""
        with self._lock:
            self._open.pop(connection, None)
            self._lock.notify_all()

    def hang_up_late(self) -> None:
        """End what has lasted too long: a stalled handshake, a header sent byte by byte, a client that never reads."""
        latest = self._monotonic() - self._lifetime_seconds
        with self._lock:
            for connection in self._open:
                if connection.opened_seconds < latest:
                    connection.hang_up()

    def drain(self, timeout_seconds: float) -> None:
        """Wait for answers under way, at most `timeout_seconds`, then hang up on everybody."""
        with self._lock:
            self._lock.wait_for(lambda: not any(c.asked for c in self._open), timeout_seconds)
            for connection in self._open:
                connection.hang_up()
