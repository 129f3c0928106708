"""Serves a snapshot over HTTP: /metrics, /-/healthy, /-/ready."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

from locant_exporters.address import Address, parse_address
from locant_exporters.outcomes import Outcomes, Tally
from locant_exporters.tls import ReloadingContext
from locant_exporters.web_app import Readiness, Reload, make_app
from locant_exporters.web_config import WebConfig
from locant_exporters.web_server import Limits, WebServer
from locant_slo.errors import MachineError
from locant_slo.snapshot import Snapshot

__all__ = ["Limits", "Server", "serve"]

_POLL_SECONDS = 0.2
_CURES = {
    errno.EADDRINUSE: "is in use; stop its owner or choose another --web.listen-address",
    errno.EACCES: "needs a privilege; choose a port above 1023",
    errno.EADDRNOTAVAIL: "is no address of this machine; choose one that `ip addr` shows",
}


class Server:
    """A running server. `address` is where it listens, with the port that the kernel chose for port 0."""

    def __init__(self, web: WebServer, *, scheme: str, tally: Tally) -> None:
        self._web = web
        self._tally = tally
        self.port = web.server_port
        self.address = str(Address(web.server_name, self.port))
        self.scheme = scheme
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
    reload: Reload | None = None,
    web_config: WebConfig | None = None,
    limits: Limits | None = None,
) -> Server:
    """Serve /metrics, /-/healthy and /-/ready at `address` (`host:port`, `:port` or `[ipv6]:port`) from threads.

    `ready` gives True, or False or the reason why not. `reload`, where given, is what POST /-/reload calls, from a
    thread of the server's; a LocantError that it raises is the answer. Raises ConfigError for a bad address or
    certificate and MachineError when the address cannot be had.
    """
    config = web_config or WebConfig()
    tls = ReloadingContext(config.tls_server_config) if config.tls_server_config is not None else None
    tally = Tally()
    app = make_app(snapshot, ready=ready, web_config=config, tally=tally, reload=reload)
    try:
        web = WebServer(parse_address(address), app, tls, limits or Limits())
    except OSError as error:
        cure = _CURES.get(error.errno or 0, f"cannot be listened at ({error.strerror}); choose another address")
        raise MachineError(f"{address} {cure}") from error
    server = Server(web, scheme="http" if tls is None else "https", tally=tally)
    server.start()
    return server
