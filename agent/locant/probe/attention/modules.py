"""Which modules of a model compute attention over its own tokens, and which layer each one is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

from locant.probe.families import SIDE_TOWERS

_CROSS = re.compile(r"cross|encoder_attn|encdec|enc_dec|multihead_attn")
_NUMBER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Member:
    """An attention module. `cross`: its keys are another sequence's, so that nothing about its own tokens follows."""

    layer: int
    cross: bool


@dataclass(frozen=True, slots=True)
class OwnAttention:
    """The attention modules of a model by `id`, and those over its own tokens by layer, in their order.

    `by_layer` is empty where calls do not tell their module: layers are then numbered in the order of their calls.
    """

    members: dict[int, Member]
    by_layer: dict[int, nn.Module]

    def layer(self, number: int | None, order: int) -> tuple[int, nn.Module | None]:
        """The layer, and its module, of a call that has this number in its name, or was the n-th of its pass."""
        if not self.by_layer:
            return order, None
        if number not in self.by_layer:
            number = list(self.by_layer)[min(order, len(self.by_layer) - 1)]
        assert number is not None
        return number, self.by_layer[number]


def own_attention(model: nn.Module, *, named: bool) -> OwnAttention:
    """What is known of a model's attention; `named`: its calls tell their module."""
    found = members(model)
    own = [(found[id(module)], module) for module in model.modules() if id(module) in found] if named else []
    return OwnAttention(found, {member.layer: module for member, module in own if not member.cross})


def members(model: nn.Module) -> dict[int, Member]:
    """Attention modules by `id`, vision and audio towers left out. The layer: own index, first number, order."""
    found: dict[int, Member] = {}
    for name, module in model.named_modules():
        kind = type(module).__name__.lower()
        if "attention" not in kind and "attn" not in kind:
            continue
        if SIDE_TOWERS.intersection(name.split(".")):
            continue
        cross = is_cross_name(f"{name}.{type(module).__name__}") or _says_cross(module)
        found[id(module)] = Member(_layer(name, module, len(found)), cross)
    return found


def is_cross_name(name: str) -> bool:
    """Whether a module of this name, its class at the end, attends to another sequence than its own."""
    return bool(_CROSS.search(name.lower().replace("crossentropy", "")))


def number_in(name: str) -> int | None:
    """The first number that stands alone in a dotted name; None without one."""
    number = _NUMBER.search(f".{name}.")
    return int(number.group(1)) if number else None


def _layer(name: str, module: nn.Module, order: int) -> int:
    index = getattr(module, "layer_idx", None)
    if isinstance(index, int) and not isinstance(index, bool):
        return index
    number = number_in(name)
    return number if number is not None else order


def _says_cross(module: nn.Module) -> bool:
    return getattr(module, "is_cross_attention", False) is True
