"""Puts the hooks of one unit on its modules, and knows how to take each off again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from locant.probe import families as fam
from locant.probe.capture import UnitCapture
from locant.probe.compiled import beside_compiler
from locant.probe.hooks import Guard, Hook
from locant.probe.lookups import takes_indices
from locant.probe.structure import unwrap

_STACKS = (nn.TransformerEncoder, nn.TransformerDecoder)
"""Hooks on their layers would switch torch's fused kernels off; on the stack itself they change nothing."""


def install(capture: UnitCapture, guard: Guard, *, inside: bool = True) -> Hooks:
    """Hook one unit: two hooks on the unit and, `inside` it, one or two on each positional part."""
    hooks = Hooks(guard)
    hooks.around(capture.unit.module, capture.before, capture.after)
    if inside:
        _tables(hooks, capture)
        _others(hooks, capture)
    hooks.around_compiled(capture.unit.module, capture.before, capture.after)
    return hooks


class Hooks:
    """Registers guarded hooks and keeps what removes them."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._watched: Callable[..., Any] | None = None
        self.removers: list[Callable[[], None]] = []

    def around(self, module: nn.Module, before: Callable[..., None], after: Callable[..., None]) -> None:
        """Both hooks of a pass, which no compiler touches: they run also around a model that is compiled later."""
        opens, forget = beside_compiler(Hook(before, self._guard, "timing"))
        closes, forget_too = beside_compiler(Hook(after, self._guard, "timing"))
        self.removers += [
            module.register_forward_pre_hook(opens, with_kwargs=True).remove,
            module.register_forward_hook(closes, with_kwargs=True, always_call=True).remove,
            forget,
            forget_too,
        ]

    def before(self, module: nn.Module, body: Callable[..., None], signal: str) -> None:
        """A pre-hook with keyword arguments."""
        handle = module.register_forward_pre_hook(Hook(body, self._guard, signal), with_kwargs=True)
        self.removers.append(handle.remove)

    def after(self, module: nn.Module, body: Callable[..., None], signal: str) -> None:
        """A forward hook with keyword arguments that is called also when the forward raised."""
        hook: Any = Hook(body, self._guard, signal)
        handle = module.register_forward_hook(hook, with_kwargs=True, always_call=True)
        self.removers.append(handle.remove)

    def around_compiled(self, module: nn.Module, before: Callable[..., None], after: Callable[..., None]) -> None:
        """Around a call that `module.compile()` has compiled, hooks and all, unless it is wrapped already."""
        compiled = module._compiled_call_impl
        if compiled is None or compiled is self._watched:
            return
        opens, closes = Hook(before, self._guard, "timing"), Hook(after, self._guard, "timing")

        def watched(*args: Any, **kwargs: Any) -> Any:
            output = None
            opens(module, args, kwargs)
            try:
                output = compiled(*args, **kwargs)
            finally:
                closes(module, args, kwargs, output)
            return output

        def restore() -> None:
            if module._compiled_call_impl is watched:
                module._compiled_call_impl = compiled

        module._compiled_call_impl = self._watched = watched
        self.removers.append(restore)


def _tables(hooks: Hooks, capture: UnitCapture) -> None:
    """Tables, where they are what numbers the tokens."""
    if capture.profile.scheme in (fam.ROPE, fam.MROPE, fam.ALIBI):
        return
    for part in capture.unit.tables:
        if takes_indices(part.module):
            hooks.before(part.module, capture.parts.table_indices, "positions")
        else:
            hooks.before(part.module, capture.parts.table_opens, "positions")
            hooks.after(part.module, capture.parts.table_closes, "positions")


def _others(hooks: Hooks, capture: UnitCapture) -> None:
    """Rotary modules, distance buckets, biases, and torch's own stacks."""
    unit, parts = capture.unit, capture.parts
    for part in unit.rotaries if capture.profile.scheme != fam.ALIBI else ():
        hooks.after(part.module, parts.rotary, "rotary")
    for part in unit.buckets:
        hooks.before(part.module, parts.buckets, "positions")
    for part in unit.blocks:
        if capture.profile.scheme == fam.ALIBI:
            hooks.before(part.module, parts.bias, "rotary")
        elif not (unit.tables or unit.rotaries or unit.buckets):
            hooks.before(part.module, parts.positions_of_block, "positions")
    for module in unwrap(unit.module).modules():
        if isinstance(module, _STACKS) and module is not unit.module:
            hooks.before(module, parts.padding, "mask")
            if isinstance(module, nn.TransformerEncoder):
                hooks.after(module, parts.encoded, "mask")
            else:
                hooks.before(module, parts.recalled, "mask")
