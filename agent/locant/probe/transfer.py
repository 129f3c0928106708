"""Results on their way from the device to the host: copied behind the pass, picked up by the agent's thread."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Shipment:
    """Named tensors under way. On CUDA: pinned memory and an event; on the CPU: the tensors themselves.

    Other accelerators have no queryable copy: their tensors wait as they are and are fetched by `arrive`, which
    then waits for the device, on the agent's thread.
    """

    __slots__ = ("_event", "_tensors")

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._event: torch.cuda.Event | None = None
        device = next((t.device for t in tensors.values() if t.device.type == "cuda"), None)
        if device is None:
            self._tensors = dict(tensors)
            return
        self._tensors = {name: _pinned_copy(tensor) for name, tensor in tensors.items()}
        self._event = torch.cuda.Event()
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
