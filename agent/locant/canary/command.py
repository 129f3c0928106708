"""`locant canary`: load a model from a folder, ask it, and say what came out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from locant.canary.report import CanaryReport, merged, save_results
from locant.canary.suite import LABEL_FREE, Suite
from locant_slo.errors import MachineError, ModelError


def run_canary(
    folder: Path, *, device: str = "cpu", save: Path | None = None, suite: Suite = LABEL_FREE
) -> CanaryReport:
    """Ask the transformers model in `folder` every round of `suite`; write the results to `save` for the gate.

    Reads local files only and runs no code of the model's. Raises MachineError for a missing folder or package,
    ModelError for a model that cannot be loaded.
    """
    model = _load(folder, device)
    from locant.canary.runner import CanaryRunner
    from locant.probe.profile import describe

    runner = CanaryRunner(model, 0, describe(model), suite, time.time, lambda observation: None)
    rounds = max((group.rounds for group in suite.questions), default=1)
    report = merged([runner.run_once() for _ in range(rounds)])
    if save is not None:
        save_results(report.to_dict(), save)
    return report


def _load(folder: Path, device: str) -> Any:
    if not folder.is_dir():
        raise MachineError(f"{folder}: is no folder; name one that holds config.json and safetensors weights")
    try:
        import transformers
    except ImportError as error:
        raise MachineError("transformers is not installed; run pip install 'locant[demo]'") from error
    options = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        generates = any("CausalLM" in name or "LMHead" in name for name in config.architectures or ())
        loader = transformers.AutoModelForCausalLM if generates else transformers.AutoModel
        return loader.from_pretrained(folder, **options).to(device).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"{folder}: cannot be loaded ({' '.join(str(error).split())[:200]})") from error
