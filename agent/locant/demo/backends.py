"""A real Prometheus and a real Alertmanager on free loopback ports, fed with generated rules and routing."""

from __future__ import annotations

import json
import shutil
import urllib.parse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from locant.demo.processes import fetch, start

_PROGRAMS = {"prometheus": ("prometheus",), "alertmanager": ("prometheus-alertmanager", "alertmanager")}


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the two programs."""

    prometheus: str
    alertmanager: str


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """An alert as Alertmanager holds it. `muted`: inhibited or silenced, so that nobody is told."""

    name: str
    labels: Mapping[str, str]
    summary: str
    muted: bool


def find_programs() -> Programs | str:
    """The programs, or a sentence that says which is missing and how to get it."""
    found = {name: next(filter(None, map(shutil.which, names)), None) for name, names in _PROGRAMS.items()}
    prometheus, alertmanager = found["prometheus"], found["alertmanager"]
    if prometheus and alertmanager:
        return Programs(prometheus, alertmanager)
    missing = " and ".join(name for name, path in found.items() if path is None)
    return f"{missing} not found; install Debian's packages prometheus and prometheus-alertmanager to see alerts fire"


class Backends:
    """Both servers, running. Close it, or use it as a context manager; it leaves no process behind.

    `targets` are `host:port` of the agents to scrape every `scrape_seconds`, `rules` rule files by name,
    `alertmanager` its configuration. Everything is kept in `folder`.
    """

    def __init__(
        self,
        programs: Programs,
        folder: Path,
        *,
        targets: Sequence[str],
        rules: Mapping[str, str],
        alertmanager: str,
        scrape_seconds: int = 1,
    ) -> None:
        self._stack = ExitStack()
        try:
            self.alertmanager_url = self._start_alertmanager(
                programs.alertmanager, folder / "alertmanager", alertmanager
            )
            config = _prometheus_config(targets, self.alertmanager_url, scrape_seconds)
            self.prometheus_url = self._start_prometheus(programs.prometheus, folder / "prometheus", config, rules)
        except BaseException:
            self._stack.close()
            raise

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """An instant query: labels and value of each series. Raises OSError when Prometheus refuses or is gone."""
        result = self._get(f"{self.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        return [(dict(series["metric"]), float(series["value"][1])) for series in result["data"]["result"]]

    def alerts(self) -> list[FiringAlert]:
        """What Alertmanager holds as firing now."""
        return [
            FiringAlert(
                name=alert["labels"]["alertname"],
                labels=dict(alert["labels"]),
                summary=alert["annotations"].get("summary", ""),
                muted=alert["status"]["state"] != "active",
            )
            for alert in self._get(f"{self.alertmanager_url}/api/v2/alerts")
        ]

    def close(self) -> None:
        """End both servers. Calling it again does nothing."""
        self._stack.close()

    def __enter__(self) -> Backends:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, url: str) -> Any:
        return json.loads(fetch(url))

    def _start_alertmanager(self, program: str, folder: Path, config: str) -> str:
        folder.mkdir(parents=True)
        file = folder / "alertmanager.yaml"
        file.write_text(config)
        options = (f"--config.file={file}", f"--storage.path={folder / 'data'}", "--cluster.listen-address=")
        return self._start("alertmanager", [program, *options], folder)

    def _start_prometheus(self, program: str, folder: Path, config: str, rules: Mapping[str, str]) -> str:
        (folder / "rules").mkdir(parents=True)
        file = folder / "prometheus.yaml"
        file.write_text(config)
        for name, text in rules.items():
            (folder / "rules" / name).write_text(text)
        options = (f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}")
        return self._start("prometheus", [program, *options], folder)

    def _start(self, name: str, command: Sequence[str], folder: Path) -> str:
        def on(port: int) -> list[str]:
            return [*command, f"--web.listen-address=127.0.0.1:{port}"]

        child, url = start(name, on, folder / "log", "/-/ready")
        self._stack.callback(child.close)
        return url


def _prometheus_config(targets: Sequence[str], alertmanager_url: str, scrape_seconds: int) -> str:
    interval = f"{scrape_seconds}s"
    manager = {"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "alerting": {"alertmanagers": [manager]},
            "rule_files": ["rules/*.yaml"],
            "scrape_configs": [{"job_name": "locant", "static_configs": [{"targets": list(targets)}]}],
        },
        sort_keys=False,
    )
