"""Where an agent process sends its numbers by itself, as its configuration says."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from functools import partial
from typing import Protocol

from locant.pushing import Export, Push
from locant.sidecar.config import AgentConfig
from locant_exporters import mlflow, wandb
from locant_exporters.otlp import OtlpPusher
from locant_exporters.outcomes import Outcomes
from locant_slo.catalogue.labels import BY_OTLP, TO_MLFLOW, TO_WANDB
from locant_slo.errors import ConfigError, MachineError
from locant_slo.snapshot import Snapshot


class Pusher(Protocol):
    """A thread that sends at an interval, and once more when it is closed."""

    @property
    def outcomes(self) -> Outcomes: ...

    def start(self) -> object: ...

    def close(self, deadline_seconds: float) -> bool: ...


def pushers(config: AgentConfig, snapshot: Callable[[], Snapshot]) -> dict[str, Pusher]:
    """By exporter, not started.

    Raises MachineError when a tracker that is asked for is not installed, ConfigError when MLflow has no store.
    """
    found: dict[str, Pusher] = {}
    if config.otlp_endpoint is not None:
        found[BY_OTLP] = OtlpPusher(snapshot, config.otlp_endpoint, interval_seconds=config.otlp_interval_seconds)
    trackers: dict[str, tuple[str | None, Callable[[str], Export]]] = {
        TO_MLFLOW: (config.mlflow_run_id, mlflow.open_run),
        TO_WANDB: (config.wandb_run_id, wandb.open_run),
    }
    for name, (run_id, open_run) in trackers.items():
        if run_id is not None:
            _require(name, run_id)
            found[name] = Push(name, snapshot, partial(open_run, run_id), config.tracker_interval_seconds)
    return found


def _require(package: str, run_id: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MachineError(f"{package}_run_id: {run_id!r} needs {package}; install locant[{package}]")
    if package == TO_MLFLOW and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise ConfigError(f"mlflow_run_id: {run_id!r} is in no store; set MLFLOW_TRACKING_URI to the server's address")
