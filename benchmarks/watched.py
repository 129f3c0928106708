"""What the end-to-end benchmarks share: random GPT-2 models over the same weights, and a sidecar agent beside them."""

from __future__ import annotations

import inspect
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

SIZES: dict[str, dict[str, int]] = {"small": {"n_layer": 4, "n_embd": 256, "n_head": 4}, "125M": {}}
"""GPT-2's own size, and one whose passes take a few milliseconds."""
_READY_SECONDS = 60.0


def random_model(size: str) -> GPT2LMHeadModel:
    """A GPT-2 of random weights in evaluation mode, whose end token never comes by chance."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_positions=4096, **SIZES[size])).eval().requires_grad_(False)


def twin(model: GPT2LMHeadModel, attention: str = "sdpa") -> GPT2LMHeadModel:
    """Another model over the very same weights, which can be hooked while the first one stays bare."""
    other = GPT2LMHeadModel(model.config).eval().requires_grad_(False)
    other.load_state_dict(model.state_dict(), assign=True)
    other.tie_weights()
    other.set_attn_implementation(attention)
    return other


def cache_argument(model: GPT2LMHeadModel) -> str:
    """The name that this release of transformers has for a cache."""
    return "cache" if "cache" in inspect.signature(type(model).forward).parameters else "past_key_values"


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper one."""
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high


@contextmanager
def sidecar() -> Iterator[tuple[str, int]]:
    """A running `locant agent`: the path of its socket, and its process number."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "agent.sock")
        command = [sys.executable, "-m", "locant.cli", "agent", "--web.listen-address=127.0.0.1:0"]
        with Path(folder, "log").open("wb") as log:
            agent = subprocess.Popen([*command, f"--socket.path={path}"], stdout=log, stderr=log)
        try:
            until = time.monotonic() + _READY_SECONDS
            while not path.exists():
                if agent.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"the agent did not start: {Path(folder, 'log').read_text()}")
                time.sleep(0.1)
            yield str(path), agent.pid
        finally:
            agent.terminate()
            agent.wait()


def cpu_seconds(process: int) -> float:
    """Processor time of another process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


def prompts(count: int, length: int) -> dict[str, Any]:
    """Random token ids and their mask."""
    ids: Tensor = torch.randint(3, 500, (count, length), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
