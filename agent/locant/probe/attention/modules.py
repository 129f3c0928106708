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


def members(model: nn.Module) -> dict[int, Member]:
    """Attention modules by `id`, vision and audio towers left out. The layer: own index, first number, order."""
    found: dict[int, Member] = {}
    for name, module in model.named_modules():
        kind = type(module).__name__.lower()
        if "attention" not in kind and "attn" not in kind:
            continue
        if SIDE_TOWERS.intersection(name.split(".")):
            continue
        cross = bool(_CROSS.search(f"{name}.{type(module).__name__}".lower().replace("crossentropy", "")))
        found[id(module)] = Member(_layer(name, module, len(found)), cross or _says_cross(module))
    return found


def _layer(name: str, module: nn.Module, order: int) -> int:
    index = getattr(module, "layer_idx", None)
    if isinstance(index, int) and not isinstance(index, bool):
        return index
    number = _NUMBER.search(f".{name}.")
    return int(number.group(1)) if number else order


def _says_cross(module: nn.Module) -> bool:
    return getattr(module, "is_cross_attention", False) is True
