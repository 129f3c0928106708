"""What autocast makes of the tensors that an attention kernel is handed: those are multiplied, not the given ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from locant.probe.attention.calls import Attention, KernelCall


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The type that this thread's autocast gives to matrix products on a device; None where it is off."""
    if not torch.is_autocast_enabled(device.type):
        return None
    return torch.get_autocast_dtype(device.type)


def as_cast(call: Attention, dtype: torch.dtype | None) -> Attention:
    """The call with queries, keys and added masks in that type; scores that are at hand were computed under it."""
    if dtype is None or not isinstance(call, KernelCall):
        return call
    mask, bias = (cast(tensor, dtype) if tensor is not None else None for tensor in (call.mask, call.bias))
    return replace(call, query=cast(call.query, dtype), key=cast(call.key, dtype), mask=mask, bias=bias)


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor as autocast passes it on: numbers in `dtype`, except float64; everything else as it is."""
    return tensor.to(dtype) if tensor.is_floating_point() and tensor.dtype != torch.float64 else tensor
