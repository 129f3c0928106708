"""The hooks of a whole pass beside torch.compile: they run around a compiled model and vanish inside of a graph.

A hook in a graph either breaks it or is compiled away. One that the compiler is told to ignore is no part of any graph,
and one that it is told to leave alone runs as it is when the model that carries it is itself what was compiled.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from locant.probe.hooks import Hook

_HOOK_DEPTH = 12
"""Frames between something that a hook does and what the compiler put around the hook, at most."""


def beside_compiler(hook: Hook) -> tuple[Callable[..., None], Callable[[], None]]:
    """The hook as the compiler leaves it alone, and what takes that back; as it is where torch has no such switch."""
    kind, ignored = _kind(), _ignored()
    if kind is None or ignored is None:
        return hook, _nothing
    free = kind(hook.body, hook.guard, hook.signal)
    ignored.add(free)
    return free, lambda: ignored.discard(free)


def in_compiled_model() -> bool:
    """Whether a model that torch.compile returned is being called, as far as torch tells."""
    return bool(getattr(sys.modules.get("torch._dynamo.eval_frame"), "_in_optimized_module", False))


def in_compiled_call() -> bool:
    """Whether the hook that asks runs inside of a compiled call: what the compiler put around the hook knows."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_HOOK_DEPTH):
        if frame is None:
            return False
        if is_wrapper(frame.f_code):
            return frame.f_locals.get("prior") is not None
        frame = frame.f_back
    return False


def is_wrapper(code: Any) -> bool:
    """Whether a frame's code is what the compiler puts around a function that it leaves alone."""
    return bool(code.co_filename.endswith("eval_frame.py"))


@functools.cache
def _kind() -> type[Hook] | None:
    """A kind of hook that is never compiled."""
    try:
        uncompiled: Any = importlib.import_module("torch._dynamo").disable
    except (ImportError, AttributeError):
        return None

    class FreeHook(Hook):
        __slots__ = ()
        __call__ = uncompiled(Hook.__call__)

    return FreeHook


def _ignored() -> set[Any] | None:
    """What the compiler takes for nothing when it meets it in a graph."""
    config = getattr(sys.modules.get("torch._dynamo"), "config", None)
    found = getattr(config, "ignore_logging_functions", None)
    return found if isinstance(found, set) else None


def _nothing() -> None:
    return None
