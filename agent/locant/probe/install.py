"""Puts the hooks of one unit on its modules, and knows how to take each off again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from locant.probe import families as fam
from locant.probe.capture import UnitCapture
from locant.probe.hooks import Guard, Hook
from locant.probe.lookups import takes_indices
from locant.probe.structure import unwrap

_STACKS = (nn.TransformerEncoder, nn.TransformerDecoder)
"""Hooks on their layers would switch torch's fused kernels off; on the stack itself they change nothing."""


def install(capture: UnitCapture, guard: Guard) -> list[Callable[[], None]]:
    """Hook one unit: two hooks on the unit, one or two on each positional part. Returns what removes them."""
    removers: list[Callable[[], None]] = []

    def before(module: nn.Module, body: Callable[..., None], signal: str) -> None:
        handle = module.register_forward_pre_hook(Hook(body, guard, signal), with_kwargs=True)
        removers.append(handle.remove)

    def after(module: nn.Module, body: Callable[..., None], signal: str) -> None:
        hook: Any = Hook(body, guard, signal)
        handle = module.register_forward_hook(hook, with_kwargs=True, always_call=True)
        removers.append(handle.remove)

    unit, parts, scheme = capture.unit, capture.parts, capture.profile.scheme
    before(unit.module, capture.before, "timing")
    after(unit.module, capture.after, "timing")
    for part in unit.tables if scheme not in (fam.ROPE, fam.MROPE, fam.ALIBI) else ():
        if takes_indices(part.module):
            before(part.module, parts.table_indices, "positions")
        else:
            before(part.module, parts.table_opens, "positions")
            after(part.module, parts.table_closes, "positions")
    for part in unit.rotaries:
        after(part.module, parts.rotary, "rotary")
    for part in unit.buckets:
        before(part.module, parts.buckets, "positions")
    for part in unit.blocks if scheme == fam.ALIBI else ():
        before(part.module, parts.bias, "rotary")
    for module in unwrap(unit.module).modules():
        if isinstance(module, _STACKS) and module is not unit.module:
            before(module, parts.padding, "mask")
    return removers
