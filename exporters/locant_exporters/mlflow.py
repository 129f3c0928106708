"""Windowed summaries into an MLflow run. `log_snapshot` and `MlflowRun` need no import of MLflow."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from locant_exporters.summary import FINDING_COLUMNS, summarise
from locant_slo.snapshot import Snapshot


class Client(Protocol):
    """What is used of `mlflow.MlflowClient`."""

    def log_metric(self, run_id: str, key: str, value: float, timestamp: int, step: int) -> Any: ...

    def log_dict(self, run_id: str, dictionary: dict[str, Any], artifact_file: str) -> None: ...


def log_snapshot(
    client: Client, run_id: str, snapshot: Snapshot, *, step: int, previous: Snapshot | None = None
) -> None:
    """Log what happened since `previous` to run `run_id`: each ratio as a metric, the findings as a table.

    The table is `locant/findings-STEP.json` in the layout that pandas reads with `orient="split"`. This writes to
    MLflow's store, a second or two on a server: call it from a thread that nothing waits for, once a window. Whatever
    MLflow raises is passed on.
    """
    summary = summarise(snapshot, previous)
    milliseconds = round(snapshot.taken_at * 1_000)
    for key, value in summary.scalars.items():
        client.log_metric(run_id, key, value, timestamp=milliseconds, step=step)
    table = {"columns": list(FINDING_COLUMNS), "data": [list(row) for row in summary.findings]}
    client.log_dict(run_id, table, f"locant/findings-{step}.json")


class MlflowRun:
    """One run, to be called with a snapshot at the end of each window: `agent.push("mlflow", MlflowRun(client, id))`.

    A window that could not be logged is part of the next one. Steps are Unix seconds, so that an agent that starts
    again overwrites nothing.
    """

    def __init__(self, client: Client, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._previous: Snapshot | None = None

    def __call__(self, snapshot: Snapshot) -> None:
        """Log what happened since the last call that went well. Whatever MLflow raises is passed on."""
        log_snapshot(self._client, self._run_id, snapshot, step=int(snapshot.taken_at), previous=self._previous)
        self._previous = snapshot


def open_run(run_id: str) -> MlflowRun:
    """The run in the store that MLflow's environment names: MLFLOW_TRACKING_URI, MLFLOW_TRACKING_TOKEN, ..."""
    client = importlib.import_module("mlflow").MlflowClient()
    return MlflowRun(client, run_id)
