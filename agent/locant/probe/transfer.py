"""Results on their way from the device to the host: copied behind the pass, picked up by the agent's thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from locant.probe.attention.contract import LayerStatistics
from locant.probe.timing import cuda_event


class Shipment:
    """Named tensors under way. On CUDA: pinned memory and an event; on the CPU: the tensors themselves.

    Other accelerators have no queryable copy: their tensors wait as they are and are fetched by `arrive`, which
    then waits for the device, on the agent's thread.
    """

    __slots__ = ("_event", "_tensors")

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._event: Any = None
        device = next((t.device for t in tensors.values() if t.device.type == "cuda"), None)
        if device is None:
            self._tensors = dict(tensors)
            return
        self._tensors = {name: _pinned_copy(tensor) for name, tensor in tensors.items()}
        self._event = cuda_event()
        self._event.record(torch.cuda.current_stream(device))

    @property
    def arrived(self) -> bool:
        """Whether `arrive` would answer at once."""
        return self._event is None or bool(self._event.query())

    def arrive(self) -> dict[str, Tensor]:
        """The tensors on the host."""
        return {name: tensor.cpu() for name, tensor in self._tensors.items()}


def _pinned_copy(tensor: Tensor) -> Tensor:
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor.detach(), non_blocking=True)


def attention_tensors(layers: Sequence[LayerStatistics]) -> dict[str, Tensor]:
    """Everything of the layers' statistics that must reach the host, as "index.field"."""
    fields = ("sums", "rows", "padded_rows", "padding_mass_largest", "visibility", "heat", "heat_rows")
    pairs = ((f"{i}.{field}", getattr(layer, field)) for i, layer in enumerate(layers) for field in fields)
    return {name: value for name, value in pairs if isinstance(value, Tensor)}
