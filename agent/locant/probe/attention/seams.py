"""Where attention calls can be met, and the one slot that says whether this thread's pass wants to be seen.

transformers looks its attention function up by name before every call: a gate on that lookup hands out an observed
function. Everything else goes through functions of torch, which are replaced. Both are in place for as long as any pass
is armed and gone in between, so that other passes pay nothing. Neither changes which kernel runs.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Function = Callable[..., Any]
Target = tuple[Any, str, Callable[[Function], Function]]
"""An owner, the name of its attribute, and what makes a replacement of the original."""
Arrange = Callable[[Sequence[Any], dict[str, Any]], tuple[Sequence[Any], dict[str, Any]]]


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

    def graph(self, site: str, given: Sequence[Tensor], numbers: Sequence[float]) -> None:
        """A call inside of a compiled graph: a `compiled.site.Site` as text, its tensors, its numbers."""
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


def set_recorder(recorder: Recorder) -> None:
    """Arm the calling thread."""
    _slot.recorder = recorder


def unset_recorder(recorder: Recorder) -> None:
    """Disarm the calling thread, unless another model's pass has armed it since."""
    if _slot.recorder is recorder:
        _slot.recorder = None


def recorder() -> Recorder | None:
    """What the calling thread is armed with."""
    return _slot.recorder


@contextmanager
def aside() -> Iterator[Recorder | None]:
    """The recorder, and while it works the thread is not armed: what it computes itself is no attention to look at."""
    found, _slot.recorder = _slot.recorder, None
    try:
        yield found
    finally:
        _slot.recorder = found


class Seam:
    """Attributes replaced while any pass is armed; who lets go of one last restores it, if nobody else replaced it.

    A replacement is made once for a function, so that a compiler that guards on them sees the same two for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[int, tuple[Function, Function]] = {}
        self._held: dict[tuple[int, str], _Held] = {}

    def hold(self, targets: Sequence[Target]) -> None:
        """Put replacements in place, or count one more holder of each: of all of them, or of none when one fails."""
        with self._lock:
            for count, (owner, name, make) in enumerate(targets):
                held = self._held.get((id(owner), name))
                if held is None:
                    try:
                        held = self._held[id(owner), name] = self._replace(owner, name, make)
                    except Exception:
                        self._let_go(targets[:count])
                        raise
                held.holders += 1

    def release(self, targets: Sequence[Target]) -> None:
        """Count one holder of each less; the last one restores what was there."""
        with self._lock:
            self._let_go(targets)

    def _let_go(self, targets: Sequence[Target]) -> None:
        for owner, name, _ in targets:
            held = self._held[id(owner), name]
            held.holders -= 1
            if not held.holders:
                del self._held[id(owner), name]
                if held.original is not None and getattr(owner, name, None) is held.replacement:
                    setattr(owner, name, held.original)

    def _replace(self, owner: Any, name: str, make: Callable[[Function], Function]) -> _Held:
        original = getattr(owner, name, None)
        if original is None:
            return _Held(None, None)
        made = self._made.get(id(original))
        if made is None:
            made = self._made[id(original)] = (original, make(original))
        setattr(owner, name, made[1])
        return _Held(*made)


@dataclass(slots=True)
class _Held:
    """`original` is None where the owner has lost its attribute."""

    original: Function | None
    replacement: Function | None
    holders: int = 0


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
    with aside() as recorder:
        if recorder is not None:
            known = getattr(plain, "__name__", "") if "/" in implementation else implementation  # a kernel of the hub
            recorder.interface(known, module, query, key, attention_mask, **kwargs)
        return plain(module, query, key, value, attention_mask, *args, **kwargs)


def _as_given(args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    return args, kwargs


def watched(name: str, original: Function, arrange: Arrange = _as_given, *, afterwards: bool = False) -> Function:
    """`original` with a look at its arguments where the thread is armed, before it runs or `afterwards`.

    `arrange` makes of them what the recorder is given.
    """
    compiling = torch.compiler.is_compiling

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        if compiling() or _slot.recorder is None:
            return original(*args, **kwargs)
        with aside() as recorder:
            assert recorder is not None
            if not afterwards:
                recorder.function(name, *arrange(args, kwargs))
            found = original(*args, **kwargs)
            if afterwards:
                recorder.function(name, *arrange(args, kwargs))
            return found

    return function


def interface_targets() -> Sequence[Target]:
    """transformers' lookup of its attention functions."""
    interface = getattr(sys.modules.get("transformers.modeling_utils"), "AttentionInterface", None)
    return [] if interface is None else [(interface, "get_interface", _gate)]


def function_targets() -> Sequence[Target]:
    """The functions of torch."""
    return [(owner, name, functools.partial(watched, name)) for owner, name in FUNCTIONS]


SEAM = Seam()
"""Held from arm to disarm by every capture, with the targets of its own model."""


def uses_interface(model: nn.Module) -> bool:
    """Whether any module of the model comes from a file that looks its attention function up."""
    files = {type(module).__module__ for module in model.modules()}
    return any(hasattr(sys.modules.get(file), "ALL_ATTENTION_FUNCTIONS") for file in files)
