"""The accept loop and the thread of each connection: TLS handshakes outside the loop, limits on what a client may do.

prometheus-client's own server shakes hands in the accept loop, where one silent client stops all scrapes.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass
from http.server import HTTPServer
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from locant_exporters.address import Address, resolve
from locant_exporters.connections import Connection, Connections
from locant_exporters.http_handler import Handler
from locant_exporters.tls import ReloadingContext

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_log = logging.getLogger(__name__)
_OUT_OF_DESCRIPTORS_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take. A thread serves each connection, so `connections` bounds the threads as well."""

    connections: int = 64
    silence_seconds: float = 5.0  # the TLS handshake's and every other wait for the client's next byte
    connection_seconds: float = 30.0  # from accept to the last byte of the answer
    header_bytes: int = 16_384


class WebServer(WSGIServer):
    """The accept loop, which only accepts. Use `locant_exporters.http.serve`."""

    request_queue_size = 1_024
    """Connections that may wait to be accepted; past it the kernel drops a scrape, which tries again a second later."""

    def __init__(self, where: Address, app: WSGIApplication, tls: ReloadingContext | None, limits: Limits) -> None:
        self.limits = limits
        self.connections = Connections(limits.connections, limits.connection_seconds, time.monotonic)
        self._tls = tls
        self.address_family, host = resolve(where)
        super().__init__((host, where.port), WSGIRequestHandler)
        self._app = app

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of this host's name, which waits where there is no name service."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(self.server_address[0] != "::"))
        super(HTTPServer, self).server_bind()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; without free descriptors the loop would spin, so it pauses."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(_OUT_OF_DESCRIPTORS_PAUSE_SECONDS)
            raise

    def service_actions(self) -> None:
        """Between accepts, and several times a second: end what has lasted too long."""
        self.connections.hang_up_late()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand the connection to a thread of its own, or refuse it."""
        connection = self.connections.admit(request)
        if connection is None:
            self.shutdown_request(request)
            return
        work = (connection, client_address)
        threading.Thread(target=self._converse, args=work, name="locant-web-client", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Called by the accept loop when no thread could be started, for one."""
        _log.warning("a connection could not be served", exc_info=True)

    def _converse(self, connection: Connection, client_address: Any) -> None:
        try:
            connection.socket.settimeout(self.limits.silence_seconds)
            if self._tls is not None:
                context = self._tls()
                connection.socket = tls = context.wrap_socket(connection.socket, True, do_handshake_on_connect=False)
                tls.do_handshake()
            Handler(connection, client_address, self, self._app, header_bytes=self.limits.header_bytes)
        except OSError as error:  # the client's doing: silence, nonsense, or gone
            _log.debug("a connection ended early: %s", error)
        finally:
            self.shutdown_request(connection.socket)
            self.connections.forget(connection)
