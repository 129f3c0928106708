"""`locant canary`: load a model from a folder, ask it, and say what came out."""

from __future__ import annotations

import time
from pathlib import Path

from locant.canary.report import CanaryReport, merged, save_results
from locant.canary.suite import LABEL_FREE, Suite
from locant.models import load_model


def run_canary(
    folder: Path, *, device: str = "cpu", save: Path | None = None, suite: Suite = LABEL_FREE
) -> CanaryReport:
    """Ask the transformers model in `folder` every round of `suite`; write the results to `save` for the gate.

    Reads local files only and runs no code of the model's. Raises MachineError for a missing folder or package,
    ModelError for a model that cannot be loaded.
    """
    model = load_model(folder, device)
    from locant.canary.runner import CanaryRunner
    from locant.probe.profile import describe

    runner = CanaryRunner(model, 0, describe(model), suite, time.time, lambda observation: None)
    rounds = max((group.rounds for group in suite.questions), default=1)
    report = merged([runner.run_once() for _ in range(rounds)])
    if save is not None:
        save_results(report.to_dict(), save)
    return report
