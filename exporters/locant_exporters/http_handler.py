"""One request on one connection, within limits."""

from __future__ import annotations

import io
import logging
import sys
from http.client import LineTooLong
from typing import IO, TYPE_CHECKING, Any, cast
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from locant_exporters.connections import Connection

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import WSGIApplication

_log = logging.getLogger(__name__)
_LONGEST_BODY_BYTES = 65_536
_LONGEST_DIGITS = 20


class BoundedReader(io.BufferedReader):
    """Reads lines up to `budget` bytes in all, then raises what http.server answers with 431."""

    def __init__(self, raw: io.RawIOBase, budget: int) -> None:
        super().__init__(raw, buffer_size=4_096)
        self._budget = budget

    def readline(self, size: int | None = -1, /) -> bytes:
        """One line, or an end of file as b""."""
        line = super().readline(self._budget + 1)
        self._budget -= len(line)
        if self._budget < 0:
            raise LineTooLong("header")
        return line


class Handler(WSGIRequestHandler):
    """Answers one request with a WSGI application and closes, as HTTP/1.0 has it."""

    server: WSGIServer
    server_version = "locant"
    sys_version = ""
    rbufsize = 0

    def __init__(
        self, client: Connection, client_address: Any, server: WSGIServer, app: WSGIApplication, *, header_bytes: int
    ) -> None:
        self._client = client
        self._app = app
        self._header_bytes = header_bytes
        super().__init__(client.socket, client_address, server)

    def setup(self) -> None:
        """Put the header's limit between the socket and whoever reads it."""
        super().setup()
        self._input = BoundedReader(self.rfile, self._header_bytes)  # type: ignore[arg-type]
        self.rfile = self._input

    def handle(self) -> None:
        """Read, answer, and take the rest off the wire, so that closing does not reset the answer away."""
        self.requestline, self.request_version, self.command = "", "HTTP/1.0", ""
        try:
            self.raw_requestline = self.rfile.readline()
        except LineTooLong:
            self.send_error(414)
            return
        if self.raw_requestline and self.parse_request():
            self._client.asked = True
            output = cast("IO[bytes]", self.wfile)
            handler = _QuietServerHandler(self._input, output, sys.stderr, self.get_environ(), multithread=True)
            handler.request_handler = self
            handler.run(self._app)
            self._discard_body()

    def log_message(self, format: str, *args: Any) -> None:
        """A line for each scrape is worth nothing above debug level."""
        _log.debug("%s %s", self.address_string(), format % args)

    def _discard_body(self) -> None:
        length = self.headers.get("Content-Length", "")
        # Python refuses to convert thousands of digits, and a client's header must not become a traceback.
        if length.isdecimal() and len(length) < _LONGEST_DIGITS and 0 < int(length) <= _LONGEST_BODY_BYTES:
            self.rfile.read(int(length))


class _QuietServerHandler(ServerHandler):
    """Logs what goes wrong while writing, instead of printing tracebacks of clients that left."""

    server_software = "locant"
    request_handler: WSGIRequestHandler

    def log_exception(
        self, exc_info: tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
    ) -> None:
        _log.debug("an answer could not be written", exc_info=exc_info)
