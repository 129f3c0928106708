"""The fastest engine that is ready: Triton's kernels on CUDA once they are compiled, torch until then and elsewhere."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor

from locant.probe.attention.calls import Attention
from locant.probe.attention.engine import row_statistics
from locant.probe.attention.layout import Layout
from locant.probe.attention.rows import Rows
from locant.probe.graphs import beside_captures

_TOLERATED = 3


class Engine(Protocol):
    """What computes the statistics of sampled rows, as `engine.row_statistics` defines them."""

    def __call__(self, call: Attention, rows: Rows, layout: Layout, window: int | None = None) -> Tensor:
        """float32 [len(STATISTICS), N, R, H]."""
        ...


class FastestEngine:
    """One model's engine. Importing Triton and compiling take seconds: both happen on a thread of their own.

    Whatever fails there or at a launch goes to `on_error` and that layer to torch; after a few errors all of them do.
    Without Triton that is no error. `devices`: kinds of devices to try it on.
    """

    def __init__(self, on_error: Callable[[Exception], None], devices: Sequence[str] = ("cuda",)) -> None:
        self._on_error = on_error
        self._devices = frozenset(devices)
        self._triton: Any = None
        self._ready: set[Hashable] = set()
        self._begun: set[Hashable] = set()
        self._errors = 0
        self.launches = 0

    def __call__(self, call: Attention, rows: Rows, layout: Layout, window: int | None = None) -> Tensor:
        """See `Engine`. Never waits for a compiler."""
        if call.device.type in self._devices and self._errors < _TOLERATED:
            try:
                found = self._fused(call, rows, layout, window)
            except Exception as error:
                self._failed(error)
            else:
                if found is not None:
                    return found
        return row_statistics(call, rows, layout, window)

    def _fused(self, call: Attention, rows: Rows, layout: Layout, window: int | None) -> Tensor | None:
        """The statistics by Triton; None where its kernels cannot read the call or are not ready."""
        if self._triton is None:
            self._begin("import", self._load, call.device)
            return None
        if not self._triton.supports(call):
            return None
        with _on(call.device):
            launches, found = self._triton.prepare(call, rows, layout, window)
            kinds = [(call.device, launch.kind) for launch in launches]
            if not self._ready.issuperset(kinds):
                for launch, kind in zip(launches, kinds, strict=True):
                    self._begin(kind, launch.build(), call.device)
                return None
            for launch in launches:
                launch.run()
        self.launches += len(launches)
        statistics: Tensor = found
        return statistics

    def _begin(self, what: Hashable, work: Callable[[], None], device: torch.device) -> None:
        """Have `work` done on a thread, once; `what` is ready afterwards, or never."""
        if what in self._begun:
            return
        self._begun.add(what)

        def run() -> None:
            try:
                with beside_captures(), _on(device):
                    work()
                self._ready.add(what)
            except Exception as error:
                self._failed(error)

        threading.Thread(target=run, name="locant-compile", daemon=True).start()

    def _load(self) -> None:
        try:
            self._triton = importlib.import_module("locant.probe.attention.triton_engine")
        except ImportError:
            self._errors = _TOLERATED

    def _failed(self, error: Exception) -> None:
        self._errors += 1
        self._on_error(error)


def _on(device: torch.device) -> Any:
    """Makes `device` the current one, which is where Triton launches and loads."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
