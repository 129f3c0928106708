"""Attention kernels that models import by name: who holds them, so that an armed pass meets them there.

`from flash_attn import flash_attn_func` copies the function into the namespace of the file, and so does
`flex_attention = torch.compile(flex_attention)`. Replacing the attribute of its own package would miss those. The
places are looked up once, when a model is watched; what is imported later, inside a forward, is met at the package.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any

from torch import nn

from locant.probe.attention.seams import Function, Target, watched

FLEX = "flex_attention"
KV_CACHE = "flash_attn_with_kvcache"
FLASH = (
    "flash_attn_func",
    "flash_attn_kvpacked_func",
    "flash_attn_qkvpacked_func",
    "flash_attn_varlen_func",
    "flash_attn_varlen_kvpacked_func",
    "flash_attn_varlen_qkvpacked_func",
    KV_CACHE,
)
"""The Python functions of flash-attn 2.8.3 (Dao-AILab/flash-attention, flash_attn/__init__.py)."""

_FLASH_PACKAGES = ("flash_attn", "flash_attn.flash_attn_interface", "flash_attn.cute", "flash_attn_interface")
"""Versions 2 and 4, and version 3 under its own name."""
_ALIGNED_SINCE = (2, 1)
"""Before, a causal mask with more keys than queries began at the first key."""


def kernel_targets(model: nn.Module) -> Sequence[Target]:
    """Every attribute of a loaded Python module, and of the model's own modules, that is one of the kernels."""
    found = _kernels()
    if not found:
        return ()
    return [
        (owner, attribute, functools.partial(_observed, name))
        for owner in (*_namespaces(), *model.modules())
        for attribute, value in list(vars(owner).items())
        if type(value) is FunctionType and (name := found.get(id(_plain(value)))) is not None
    ]


def _kernels() -> dict[int, str]:
    """The kernels that are loaded, by `id`."""
    flex = sys.modules.get("torch.nn.attention.flex_attention")
    pairs = [(FLEX, getattr(flex, FLEX, None))]
    for package in _FLASH_PACKAGES:
        module = sys.modules.get(package)
        if module is not None and not _is_old(package):
            pairs += [(name, getattr(module, name, None)) for name in FLASH]
    return {id(_plain(kernel)): name for name, kernel in pairs if type(kernel) is FunctionType}


def _is_old(package: str) -> bool:
    told = str(getattr(sys.modules.get(package.partition(".")[0]), "__version__", ""))
    numbers = tuple(int(part) for part in told.split(".")[:2] if part.isdecimal())
    return len(numbers) == 2 and numbers < _ALIGNED_SINCE


def _namespaces() -> Iterator[ModuleType]:
    """The loaded Python modules, each once: __main__ may go by two names."""
    loaded = {id(module): module for module in list(sys.modules.values()) if isinstance(module, ModuleType)}
    return iter(loaded.values())


def _plain(function: Any) -> Any:
    """The function inside our own replacement and inside what `torch.compile` made of it."""
    for _ in range(4):
        held = vars(function) if type(function) is FunctionType else {}
        inner = held.get("_locant_original", held.get("_torchdynamo_orig_callable"))
        if inner is None:
            return function
        function = inner
    return function


def _observed(name: str, original: Function) -> Function:
    arrange = functools.partial(_by_name, tuple(inspect.signature(original).parameters))
    function = watched(name, original, arrange, afterwards=name == KV_CACHE)
    vars(function)["_locant_original"] = original
    return function


def _by_name(names: Sequence[str], args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """All arguments as keywords: their order differs between versions."""
    return (), {**dict(zip(names, args, strict=False)), **kwargs}
