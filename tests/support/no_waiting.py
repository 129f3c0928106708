"""A dispatch mode under which whatever would make a host wait for a GPU fails, on a machine without one.

Three things do, in torch: reading a value (`item`, a branch on a tensor, `nonzero` and a boolean index, whose sizes
depend on values), copying from ordinary host memory, and an index or operand that the host makes on the way (a list).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_READS = frozenset(
    ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::is_nonzero",
     "aten::unique_dim", "aten::_unique2", "aten::bincount", "aten::repeat_interleave.Tensor")
)  # fmt: skip


class NoWaiting(TorchDispatchMode):
    """Every tensor that an operation takes must be `given`, or have come out of an operation inside."""

    def __init__(self, given: Any) -> None:
        super().__init__()
        self._held: list[Tensor] = []
        self._known: set[int] = set()
        self._learn(given)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name()
        if name in _READS or name.partition(".")[0] in _READS:
            raise AssertionError(f"{name} reads a value back")
        if name.startswith(("aten::index.", "aten::index_put")):
            picks = [one for one in args[1] if one is not None]
            assert not any(one.dtype in (torch.bool, torch.uint8) for one in picks), f"{name}: a boolean index"
        for one in tree_leaves((args, kwargs or {})):
            if isinstance(one, Tensor) and id(one) not in self._known:
                raise AssertionError(f"{name}: an operand of shape {tuple(one.shape)} was made on the host")
        found = func(*args, **(kwargs or {}))
        self._learn(found)
        return found

    def _learn(self, values: Any) -> None:
        for one in tree_leaves(values):
            if isinstance(one, Tensor):
                self._held.append(one)
                self._known.add(id(one))
