"""Pushes snapshots over OTLP/HTTP, from a thread of its own that nothing waits for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http import metric_exporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricExportResult

from locant_exporters.otlp_data import metrics_data
from locant_exporters.outcomes import Outcomes, Tally
from locant_slo.errors import ConfigError
from locant_slo.snapshot import Snapshot

_log = logging.getLogger(__name__)
_EXPORTER_LOG = logging.getLogger(metric_exporter.__name__)
_QUIET_SECONDS = 300.0
_LONGEST_EXPORT_SECONDS = 10.0
DEFAULT_RESOURCE: Mapping[str, str] = {"service.name": "locant"}


class OtlpPusher:
    """Takes a snapshot every `interval_seconds` and sends it to `endpoint`, the full URL with its path.

    Nothing is queued: when an export fails its numbers are in the next one, for they are cumulative. So a receiver that
    is down costs one failed request an interval and no memory. TLS files, compression and further headers come from
    OpenTelemetry's own OTEL_EXPORTER_OTLP_* variables. Raises ConfigError when the endpoint is no HTTP URL.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        endpoint: str,
        *,
        interval_seconds: float = 30.0,
        headers: Mapping[str, str] | None = None,
        resource: Mapping[str, str] = DEFAULT_RESOURCE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets, self._shown = _without_secrets(endpoint)
        if not self._shown.startswith(("http://", "https://")):
            raise ConfigError(f"otlp endpoint {self._shown!r} is no HTTP URL; write http://HOST:4318/v1/metrics")
        if interval_seconds <= 0:
            raise ConfigError(f"otlp interval {interval_seconds} is not above 0; write seconds, as in 30")
        self._snapshot = snapshot
        self._endpoint = endpoint
        self._interval_seconds = interval_seconds
        self._resource = dict(resource)
        self._monotonic = monotonic
        self._headers = dict(headers or {})
        self._tally = Tally()
        self._stop = threading.Event()
        self._complaints = _Complaints()
        self._running: tuple[threading.Thread, OTLPMetricExporter] | None = None

    @property
    def outcomes(self) -> Outcomes:
        """Exports so far."""
        return self._tally.outcomes

    def start(self) -> OtlpPusher:
        """Begin; the first export comes after one interval."""
        exporter = OTLPMetricExporter(
            endpoint=self._endpoint,
            headers=self._headers,
            timeout=min(_LONGEST_EXPORT_SECONDS, self._interval_seconds),
        )
        thread = threading.Thread(target=self._run, args=(exporter,), name="locant-otlp", daemon=True)
        self._running = (thread, exporter)
        _EXPORTER_LOG.addFilter(self._complaints)
        thread.start()
        return self

    def close(self, deadline_seconds: float = 5.0) -> bool:
        """Send the last numbers and stop; False when they were not on their way in time. May be called twice."""
        self._stop.set()
        if self._running is None:
            return True
        (thread, exporter), self._running = self._running, None
        thread.join(deadline_seconds)
        finished = not thread.is_alive()
        exporter.shutdown()  # wakes an export that waits to try again
        thread.join(1.0)
        _EXPORTER_LOG.removeFilter(self._complaints)
        return finished

    def _run(self, exporter: OTLPMetricExporter) -> None:
        self._complaints.thread_id = threading.get_ident()
        stopping, quiet_until_seconds = False, self._monotonic()
        while not stopping:
            stopping = self._stop.wait(self._interval_seconds)
            reason = self._export(exporter)
            if reason and self._monotonic() >= quiet_until_seconds:
                quiet_until_seconds = self._monotonic() + _QUIET_SECONDS
                for secret in self._secrets:
                    reason = reason.replace(secret, "...")
                _log.warning("OTLP export to %s failed (%d so far): %s", self._shown, self.outcomes.error, reason)

    def _export(self, exporter: OTLPMetricExporter) -> str:
        """Why the export failed, or nothing."""
        self._complaints.lines.clear()
        began = self._monotonic()
        try:
            result = exporter.export(metrics_data(self._snapshot(), self._resource))
            reason = "" if result is MetricExportResult.SUCCESS else self._complaints.first
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        self._tally.note(ok=not reason, seconds=self._monotonic() - began)
        return reason


def _without_secrets(endpoint: str) -> tuple[list[str], str]:
    """What a log must not hold of an endpoint, its user and its query, and the endpoint without them.

    It has no scheme where it is no address.
    """
    try:
        parts = urlsplit(endpoint)
    except ValueError:  # half of an IPv6 address
        return [], "..."
    user, at, host = parts.netloc.rpartition("@")
    shown = parts._replace(netloc=host, query="", fragment="").geturl()
    return [secret for secret in (user + at, parts.query) if secret], shown if parts.hostname else "..."


class _Complaints(logging.Filter):
    """Holds back what the exporter logs of our exports, several lines for each failure; the first names the cause."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.thread_id = 0

    @property
    def first(self) -> str:
        """The cause of a failure."""
        return self.lines[0] if self.lines else "the exporter gave no reason"

    def filter(self, record: logging.LogRecord) -> bool:
        """Lines of other threads are other people's exporters and pass."""
        if record.thread != self.thread_id:
            return True
        self.lines.append(record.getMessage())
        return False
