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
