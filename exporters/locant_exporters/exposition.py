"""A scrape's answer: which text format, which names, compressed or not."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.exposition import generate_latest as text_0_0_4
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.registry import Collector

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_GZIP_LEVEL = 4
"""Half the time of the default level for a text 3 % larger."""


@dataclass(frozen=True, slots=True)
class Exposition:
    """The body of an answer and the headers that describe it."""

    body: bytes
    content_type: str
    encoding: str = ""


def expose(collector: Collector, *, accept: str = "", accept_encoding: str = "") -> Exposition:
    """Everything that `collector` holds, as the client's Accept headers want it."""
    content_type = choose_format(accept)
    render: Callable[[Collector], bytes] = openmetrics if content_type == OPENMETRICS else text_0_0_4
    body = render(collector)
    if _accepts_gzip(accept_encoding):
        return Exposition(gzip.compress(body, _GZIP_LEVEL, mtime=0), content_type, "gzip")
    return Exposition(body, content_type)


def choose_format(accept: str) -> str:
    """OpenMetrics 1.0 when the client asks for it (as Prometheus does) and does not prefer plain text."""
    weights = {TEXT: 0.0, OPENMETRICS: 0.0}
    for media, parameters, weight in _entries(accept):
        version = parameters.get("version", "")
        if media == "application/openmetrics-text" and version in ("", "1.0.0"):
            weights[OPENMETRICS] = max(weights[OPENMETRICS], weight)
        elif media == "text/plain" and version in ("", "0.0.4"):
            weights[TEXT] = max(weights[TEXT], weight)
    return OPENMETRICS if weights[OPENMETRICS] > 0 and weights[OPENMETRICS] >= weights[TEXT] else TEXT


def _accepts_gzip(accept_encoding: str) -> bool:
    return any(coding == "gzip" and weight > 0 for coding, _, weight in _entries(accept_encoding))


def _entries(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """The entries of an Accept header: name, parameters, weight. Nonsense counts as weight 0, never as an error."""
    for entry in header.split(","):
        name, *rest = (part.strip().lower() for part in entry.split(";"))
        parameters = {key.strip(): value.strip() for key, _, value in (item.partition("=") for item in rest)}
        yield name, parameters, _weight(parameters.get("q", "1"))


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
