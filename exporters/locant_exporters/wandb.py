"""Windowed summaries into a Weights & Biases run."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from locant_exporters.summary import FINDING_COLUMNS, summarise
from locant_slo.errors import MachineError
from locant_slo.snapshot import Snapshot


class Run(Protocol):
    """What is used of `wandb.Run`."""

    def log(self, data: dict[str, Any], step: int | None = None) -> None: ...


def log_snapshot(run: Run, snapshot: Snapshot, *, step: int | None = None, previous: Snapshot | None = None) -> None:
    """Log what happened since `previous`: each ratio as a scalar, the findings as the table `locant/findings`.

    Raises MachineError when wandb is not installed; whatever wandb raises is passed on.
    """
    try:
        wandb = importlib.import_module("wandb")
    except ImportError as error:
        raise MachineError("wandb is not installed; install locant[wandb]") from error
    summary = summarise(snapshot, previous)
    table = wandb.Table(columns=list(FINDING_COLUMNS), data=[list(row) for row in summary.findings])
    run.log({**summary.scalars, "locant/findings": table}, step=step)


class WandbRun:
    """One run, to be called with a snapshot at the end of each window: `agent.push("wandb", WandbRun(run))`.

    A window that could not be logged is part of the next one.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._previous: Snapshot | None = None

    def __call__(self, snapshot: Snapshot) -> None:
        """Log what happened since the last call that went well. Whatever wandb raises is passed on."""
        log_snapshot(self._run, snapshot, previous=self._previous)
        self._previous = snapshot


def open_run(run_id: str) -> WandbRun:
    """The run of this id, begun or taken up again, where wandb's environment says: WANDB_PROJECT, WANDB_API_KEY, ...

    wandb ends it when the process does.
    """
    wandb = importlib.import_module("wandb")
    settings = wandb.Settings(x_disable_stats=True, x_disable_meta=True, disable_git=True, console="off")
    return WandbRun(wandb.init(id=run_id, resume="allow", job_type="locant-agent", settings=settings))
