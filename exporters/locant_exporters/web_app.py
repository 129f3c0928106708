"""The WSGI application of the agent: metrics, findings, health, readiness, and nothing else.

Every path but these is 404 (a probe that succeeds on any path proves nothing), every other method is 405.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from locant_exporters.basic_auth import Users
from locant_exporters.exposition import expose
from locant_exporters.findings_page import render_findings
from locant_exporters.outcomes import Tally
from locant_exporters.prometheus import SnapshotCollector
from locant_exporters.web_config import WebConfig
from locant_slo.errors import LocantError
from locant_slo.snapshot import Snapshot

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)
_READ = ("GET", "HEAD")
_CHANGE = ("POST", "PUT")
_LONGEST_QUERY_FIELDS = 256
_JSON = (("Content-Type", "application/json"),)
_LANDING_PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Locant</title></head>
<body><h1>Locant</h1><p>Positional observability for transformers.</p>
<ul><li><a href="/metrics">/metrics</a></li><li><a href="/api/v1/findings">/api/v1/findings</a></li>
<li><a href="/-/ready">/-/ready</a></li>
<li><a href="/-/healthy">/-/healthy</a></li></ul></body></html>
"""

Readiness = Callable[[], "bool | str"]
"""True when ready; False, or a sentence that says why not."""
Reload = Callable[[], object]
"""Reads the configuration again, or raises LocantError with a sentence and keeps the old one."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain; charset=utf-8"),)


@dataclass(frozen=True, slots=True)
class _Route:
    handle: Callable[[WSGIEnvironment], _Answer]
    methods: tuple[str, ...] = _READ


def make_app(
    snapshot: Callable[[], Snapshot],
    *,
    ready: Readiness,
    web_config: WebConfig,
    tally: Tally,
    reload: Reload | None = None,
) -> WSGIApplication:
    """The application; `snapshot` is called once for each scrape of /metrics and each look at the findings.

    `tally` counts the scrapes. /-/reload exists where `reload` does.
    """
    users = Users(web_config.basic_auth_users)
    fixed_headers = web_config.http_server_config.headers.items()
    routes = {
        "/": _Route(lambda _: _Answer(HTTPStatus.OK, _LANDING_PAGE, (("Content-Type", "text/html; charset=utf-8"),))),
        "/-/healthy": _Route(lambda _: _Answer(HTTPStatus.OK, b"Healthy.\n")),
        "/-/ready": _Route(lambda _: _readiness(ready)),
        "/metrics": _Route(lambda environ: _metrics(environ, snapshot, tally)),
        "/api/v1/findings": _Route(lambda _: _Answer(HTTPStatus.OK, render_findings(snapshot()), _JSON)),
    }
    if reload is not None:
        routes["/-/reload"] = _Route(lambda _: _reloading(reload), _CHANGE)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = _answer(environ, users, routes)
        length = ("Content-Length", str(len(answer.body)))
        start_response(f"{answer.status.value} {answer.status.phrase}", [*answer.headers, *fixed_headers, length])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    return app


def _answer(environ: WSGIEnvironment, users: Users, routes: dict[str, _Route]) -> _Answer:
    if not users.admits(environ.get("HTTP_AUTHORIZATION", "")):
        return _plain(HTTPStatus.UNAUTHORIZED, "Unauthorized", ("WWW-Authenticate", 'Basic realm="locant"'))
    route = routes.get(environ.get("PATH_INFO", ""))
    if route is None:
        return _plain(HTTPStatus.NOT_FOUND, f"Not found; there are {', '.join(routes)}")
    if environ["REQUEST_METHOD"] not in route.methods:
        allowed = ", ".join(route.methods)
        return _plain(HTTPStatus.METHOD_NOT_ALLOWED, f"Method not allowed; use {allowed}", ("Allow", allowed))
    try:
        return route.handle(environ)
    except Exception:
        _log.exception("a request failed")
        return _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; the agent's log says why")


def _metrics(environ: WSGIEnvironment, snapshot: Callable[[], Snapshot], tally: Tally) -> _Answer:
    try:
        query = parse_qs(environ.get("QUERY_STRING", ""), max_num_fields=_LONGEST_QUERY_FIELDS)
    except ValueError:
        return _plain(HTTPStatus.BAD_REQUEST, f"The query has more than {_LONGEST_QUERY_FIELDS} fields")
    collector = SnapshotCollector(snapshot, names=frozenset(query.get("name[]", ())))
    wishes = {"accept": environ.get("HTTP_ACCEPT", ""), "accept_encoding": environ.get("HTTP_ACCEPT_ENCODING", "")}
    began = time.monotonic()
    try:
        exposition = expose(collector, **wishes)
    except Exception:
        tally.note(ok=False, seconds=time.monotonic() - began)
        raise
    tally.note(ok=True, seconds=time.monotonic() - began)
    encoding = (("Content-Encoding", exposition.encoding),) if exposition.encoding else ()
    described = (("Content-Type", exposition.content_type), ("Vary", "Accept, Accept-Encoding"), *encoding)
    return _Answer(HTTPStatus.OK, exposition.body, described)


def _readiness(ready: Readiness) -> _Answer:
    verdict = ready()
    if verdict is True:
        return _Answer(HTTPStatus.OK, b"Ready.\n")
    return _plain(HTTPStatus.SERVICE_UNAVAILABLE, verdict or "Not ready")


def _reloading(reload: Reload) -> _Answer:
    try:
        reload()
    except LocantError as error:
        return _plain(HTTPStatus.INTERNAL_SERVER_ERROR, f"The old configuration stays: {error}")
    return _Answer(HTTPStatus.OK, b"Reloaded.\n")


def _plain(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> _Answer:
    body = f"{text.rstrip('.')}.\n".encode("utf-8", "replace")
    return _Answer(status, body, (("Content-Type", "text/plain; charset=utf-8"), *headers))
