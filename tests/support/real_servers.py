"""Real servers on free loopback ports, for as long as a `with` lasts."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Api:
    """The HTTP API of a Prometheus, or of something that answers like one."""

    url: str

    def get(self, path: str, **parameters: str | float) -> Any:
        """The `data` of an answer."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}{path}?{query}", timeout=20) as response:
            return json.load(response)["data"]

    def series(self, query: str, at: float | None = None) -> dict[frozenset[tuple[str, str]], float]:
        """An instant query's values by label set, the metric's name among the labels."""
        moment = {} if at is None else {"time": at}
        result = self.get("/api/v1/query", query=query, **moment)["result"]
        return {frozenset(item["metric"].items()): float(item["value"][1]) for item in result}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], Any], seconds: float = 30.0, pause_seconds: float = 0.1) -> Any:
    """The first true value of `condition`; AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(pause_seconds)
    return value


@contextlib.contextmanager
def running(command: list[str | Path], health_url: str, log: Path, seconds: float = 60.0) -> Iterator[None]:
    """A process that answers at `health_url` within `seconds`; its output goes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
        try:
            eventually(lambda: _answers(health_url) or _died(process, log), seconds)
            yield
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def prometheus(program: str, folder: Path, scrape_configs: list[dict[str, Any]]) -> Iterator[Api]:
    """A Prometheus that scrapes every 200 ms and keeps exemplars. (Its configuration is YAML; JSON is YAML.)"""
    address = f"127.0.0.1:{free_port()}"
    config = folder / "prometheus.yml"
    config.write_text(json.dumps({"global": {"scrape_interval": "200ms"}, "scrape_configs": scrape_configs}))
    command: list[str | Path] = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]
    with running(command, f"http://{address}/-/ready", folder / "prometheus.log"):
        yield Api(f"http://{address}")


@contextlib.contextmanager
def victoria_metrics(program: str, folder: Path) -> Iterator[Api]:
    """A VictoriaMetrics that names OTLP metrics as Prometheus does and shows them without its usual delay of 30 s."""
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        program,
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr={address}",
        "-opentelemetry.usePrometheusNaming",
        "-search.latencyOffset=0s",
        "-retentionPeriod=100y",
    ]
    with running(command, f"http://{address}/health", folder / "victoria-metrics.log"):
        yield Api(f"http://{address}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _died(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")[-2_000:]
    return False
