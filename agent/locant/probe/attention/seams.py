"""Where attention calls can be met, and the one slot that says whether this thread's pass wants to be seen.

transformers looks its attention function up by name before every call: a gate on that lookup hands out an observed
function. Everything else goes through functions of torch, which are replaced. Both are in place for as long as any pass
is armed and gone in between, so that other passes pay nothing. Neither changes which kernel runs.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Function = Callable[..., Any]
Target = tuple[Any, str, Callable[[Function], Function]]
"""An owner, the name of its attribute, and what makes a replacement of the original."""


class Recorder(Protocol):
    """What an armed pass does with the calls it meets. It never raises."""

    def interface(
        self, implementation: str, module: nn.Module, query: Tensor, key: Tensor, mask: Any, **more: Any
    ) -> None:
        """A call through transformers' attention interface."""
        ...

    def function(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """A call of one of the functions in `FUNCTIONS`, by its name."""
        ...


class _Slot(threading.local):
    recorder: Recorder | None = None


_slot = _Slot()

FUNCTIONS: tuple[tuple[Any, str], ...] = (
    (torch.nn.functional, "scaled_dot_product_attention"),
    (torch.nn.functional, "softmax"),
    (torch, "softmax"),
    (torch, "_native_multi_head_attention"),
    (torch, "_transformer_encoder_layer_fwd"),
)
"""Functions of torch through which other attention runs: fused, written out, and the native fast paths."""


def set_recorder(recorder: Recorder | None) -> None:
    """Arm or disarm the calling thread."""
    _slot.recorder = recorder


class Seam:
    """Attributes replaced while any pass is armed; the last to let go restores them, if nobody else replaced them.

    The replacements are made once, so that a compiler that guards on them sees the same two functions for ever.
    """

    def __init__(self, targets: Callable[[], Sequence[Target]]) -> None:
        self._targets = targets
        self._lock = threading.Lock()
        self._holders = 0
        self._made: dict[tuple[int, str], tuple[Function, Function]] = {}
        self._put: list[tuple[Any, str, Function, Function]] = []

    def hold(self) -> None:
        """Put the replacements in place, or count one more holder."""
        with self._lock:
            self._holders += 1
            if self._holders > 1:
                return
            for owner, name, make in self._targets():
                original = getattr(owner, name)
                made = self._made.get((id(owner), name))
                if made is None or made[0] is not original:
                    made = self._made[id(owner), name] = (original, make(original))
                setattr(owner, name, made[1])
                self._put.append((owner, name, *made))

    def release(self) -> None:
        """Count one holder less; the last one restores what was there."""
        with self._lock:
            self._holders -= 1
            if self._holders > 0:
                return
            for owner, name, original, replaced in self._put:
                if getattr(owner, name, None) is replaced:
                    setattr(owner, name, original)
            self._put.clear()


def _gate(lookup: Function) -> Function:
    compiling = torch.compiler.is_compiling

    @functools.wraps(lookup)
    def get_interface(self: Any, attn_implementation: str, default: Function) -> Function:
        found: Function = lookup(self, attn_implementation, default)
        if compiling() or _slot.recorder is None:
            return found
        return functools.partial(_observed, attn_implementation, found)

    return get_interface


def _observed(
    implementation: str,
    plain: Function,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    recorder = _slot.recorder
    if recorder is None:
        return plain(module, query, key, value, attention_mask, *args, **kwargs)
    _slot.recorder = None
    try:
        recorder.interface(implementation, module, query, key, attention_mask, **kwargs)
        return plain(module, query, key, value, attention_mask, *args, **kwargs)
    finally:
        _slot.recorder = recorder


def _watched(name: str, original: Function) -> Function:
    compiling = torch.compiler.is_compiling

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        if compiling() or _slot.recorder is None:
            return original(*args, **kwargs)
        recorder = _slot.recorder
        _slot.recorder = None
        try:
            recorder.function(name, args, kwargs)
            return original(*args, **kwargs)
        finally:
            _slot.recorder = recorder

    return function


def _interface_targets() -> Sequence[Target]:
    interface = getattr(sys.modules.get("transformers.modeling_utils"), "AttentionInterface", None)
    return [] if interface is None else [(interface, "get_interface", _gate)]


def _function_targets() -> Sequence[Target]:
    return [(owner, name, functools.partial(_watched, name)) for owner, name in FUNCTIONS]


INTERFACE = Seam(_interface_targets)
"""Held from arm to disarm, by captures on transformers models."""

TORCH_FUNCTIONS = Seam(_function_targets)
"""Held from arm to disarm, by captures on models without the interface."""


def uses_interface(model: nn.Module) -> bool:
    """Whether any module of the model comes from a file that looks its attention function up."""
    files = {type(module).__module__ for module in model.modules()}
    return any(hasattr(sys.modules.get(file), "ALL_ATTENTION_FUNCTIONS") for file in files)
