"""Which rows of a position table a module really reads, whatever its forward does with the arguments.

A plain `nn.Embedding` is handed its indices. Other tables compute them inside (offsets, masks, slices), so for the
length of that one forward a function mode watches for the lookup itself. It changes nothing and ends with the module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


def takes_indices(module: nn.Module) -> bool:
    """Whether the module's first argument is the index itself."""
    return type(module).forward is nn.Embedding.forward and "forward" not in module.__dict__


class LookupMode(TorchFunctionMode):
    """Notes the first lookup in a tensor that `module` holds: `index`, int64 of any shape."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._module = module
        self.index: Tensor | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if self.index is None and len(args) > 1:
            self.index = self._index(func, args)
        return func(*args, **(kwargs or {}))

    def _index(self, func: Any, args: Sequence[Any]) -> Tensor | None:
        name = getattr(func, "__name__", "")
        if name == "embedding" and self._holds(args[1]):
            return args[0] if isinstance(args[0], Tensor) else None
        if name == "index_select" and self._holds(args[0]):
            return args[2] if len(args) > 2 and isinstance(args[2], Tensor) else None
        if name == "__getitem__" and self._holds(args[0]):
            return _subscript(args[0], args[1])
        return None

    def _holds(self, tensor: Any) -> bool:
        module = self._module
        if not isinstance(tensor, Tensor) or tensor.dim() < 2 or not tensor.is_floating_point():
            return False
        held = (*module._parameters.values(), *module._buffers.values(), *module.__dict__.values())
        return any(tensor is other for other in held)


def _subscript(table: Tensor, key: Any) -> Tensor | None:
    """The rows that `table[key]` reads; the axis of the rows is the longer of the first two in a 3-D table."""
    axis = 0 if table.dim() == 2 or table.shape[0] > table.shape[1] else 1
    keys = key if isinstance(key, tuple) else (key,)
    chosen = (
        keys[axis] if axis < len(keys) and all(k is not Ellipsis and k is not None for k in keys[: axis + 1]) else None
    )
    if isinstance(chosen, slice):
        return torch.arange(*chosen.indices(table.shape[axis]), device=table.device)
    whole = isinstance(chosen, Tensor) and not chosen.is_floating_point() and chosen.dtype != torch.bool
    return chosen if whole else None
