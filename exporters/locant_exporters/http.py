"""The agent's HTTP server: threads, TLS handshakes outside the accept loop, and limits on what a client may do.

prometheus-client's own server answers metrics on every path and shakes hands in the accept loop, where one silent
client stops all scrapes.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import HTTPServer
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIServer

from locant_exporters.address import Address, parse_address, resolve
from locant_exporters.connections import Connection, Connections
from locant_exporters.http_handler import Handler
from locant_exporters.outcomes import Outcomes, Tally
from locant_exporters.tls import ReloadingContext
from locant_exporters.web_app import Readiness, make_app
from locant_exporters.web_config import WebConfig
from locant_slo.errors import MachineError
from locant_slo.snapshot import Snapshot

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.2
_OUT_OF_DESCRIPTORS_PAUSE_SECONDS = 0.05
_CURES = {
    errno.EADDRINUSE: "is in use; stop its owner or choose another --web.listen-address",
    errno.EACCES: "needs a privilege; choose a port above 1023",
    errno.EADDRNOTAVAIL: "is no address of this machine; choose one that `ip addr` shows",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take. A thread serves each connection, so `connections` bounds the threads as well."""

    connections: int = 64
    silence_seconds: float = 5.0  # the TLS handshake's and every other wait for the client's next byte
    connection_seconds: float = 30.0  # from accept to the last byte of the answer
    header_bytes: int = 16_384


class WebServer(WSGIServer):
    """The accept loop, which only accepts. Use `serve`."""

    request_queue_size = 1_024
    """Connections that may wait to be accepted; past it the kernel drops a scrape, which tries again a second later."""

    def __init__(self, where: Address, app: WSGIApplication, tls: ReloadingContext | None, limits: Limits) -> None:
        self.limits = limits
        self.connections = Connections(limits.connections, limits.connection_seconds, time.monotonic)
        self._tls = tls
        self.address_family, host = resolve(where)
        super().__init__((host, where.port), Handler)
        self.app = app

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

    def _converse(self, connection: Connection, client_address: Any) -> None:
        try:
            connection.socket.settimeout(self.limits.silence_seconds)
            if self._tls is not None:
                context = self._tls()
                connection.socket = tls = context.wrap_socket(connection.socket, True, do_handshake_on_connect=False)
                tls.do_handshake()
            Handler(connection, client_address, self)
        except OSError as error:  # the client's doing: silence, nonsense, or gone
            _log.debug("a connection ended early: %s", error)
        finally:
            self.shutdown_request(connection.socket)
            self.connections.forget(connection)


class Server:
    """A running server. `address` is where it listens, with the port that the kernel chose for port 0."""

    def __init__(self, web: WebServer, *, scheme: str, tally: Tally) -> None:
        self._web = web
        self._tally = tally
        self.port = web.server_port
        self.address = str(Address(web.server_name, self.port))
        self.url = f"{scheme}://{self.address}"
        loop = {"poll_interval": _POLL_SECONDS}
        self._thread = threading.Thread(target=web.serve_forever, kwargs=loop, name="locant-web", daemon=True)

    @property
    def outcomes(self) -> Outcomes:
        """Scrapes so far."""
        return self._tally.outcomes

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self, deadline_seconds: float = 5.0) -> None:
        """Accept no more, let answers under way finish within the deadline, and free the port. May be called twice."""
        if self._thread.is_alive():
            self._web.shutdown()
            self._thread.join()
            self._web.connections.drain(deadline_seconds)
        self._web.server_close()


def serve(
    snapshot: Callable[[], Snapshot],
    *,
    address: str,
    ready: Readiness = lambda: True,
    web_config: WebConfig | None = None,
    limits: Limits | None = None,
) -> Server:
    """Serve /metrics, /-/healthy and /-/ready at `address` (`host:port`, `:port` or `[ipv6]:port`) from threads.

    `ready` gives True, or False or the reason why not. Raises ConfigError for a bad address or certificate and
    MachineError when the address cannot be had.
    """
    config = web_config or WebConfig()
    tls = ReloadingContext(config.tls_server_config) if config.tls_server_config is not None else None
    tally = Tally()
    app = make_app(snapshot, ready=ready, web_config=config, tally=tally)
    try:
        web = WebServer(parse_address(address), app, tls, limits or Limits())
    except OSError as error:
        cure = _CURES.get(error.errno or 0, f"cannot be listened at ({error.strerror}); choose another address")
        raise MachineError(f"{address} {cure}") from error
    server = Server(web, scheme="http" if tls is None else "https", tally=tally)
    server.start()
    return server
