"""What a model is computed by, in words that are equal on machines of one kind."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import nn

_CPU_INFO = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_NAMES = ("model name", "CPU implementer", "CPU variant", "CPU part")


@dataclass(frozen=True, slots=True)
class Host:
    """A processor, the threads that torch computes with, and the cores that this process may use. Taken once, for
    each thread of a process may have another word on it."""

    processor: str
    threads: int
    cores: float


def this_host() -> Host:
    """Where this process runs, as its calling thread sees it. Reads two small files."""
    return Host(_processor(), torch.get_num_threads(), _cores())


def machine_of(model: nn.Module, host: Host) -> str:
    """Accelerators and processor; where the processor computes, also its threads and cores.

    Empty where that cannot be told: such a machine is like no other. Asks devices for nothing but their names.
    """
    devices = {tensor.device for tensor in chain(model.parameters(), model.buffers())}
    if not host.processor or any(one.type not in ("cpu", "cuda") for one in devices):
        return ""
    accelerators = Counter(torch.cuda.get_device_name(one) for one in devices if one.type == "cuda")
    if not accelerators:
        return f"{host.processor}, {host.threads} threads on {host.cores:g} cores"
    return " + ".join([*(f"{count} x {name}" for name, count in sorted(accelerators.items())), host.processor])


def _processor() -> str:
    """The first processor's model; empty where the system does not say."""
    try:
        lines = _CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    said = dict(reversed([(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]))
    return " ".join(said[name] for name in _NAMES if said.get(name))


def _cores() -> float:
    """Cores that this process may use: those it may run on, less where its container has a quota."""
    linux = hasattr(os, "sched_getaffinity")
    allowed = float(len(os.sched_getaffinity(0)) if linux else os.cpu_count() or 1)
    try:
        quota, period = _QUOTA.read_text().split()
        return allowed if quota == "max" else min(allowed, int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return allowed
