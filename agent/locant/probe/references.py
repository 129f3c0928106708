"""float64 references for rotary modules, on the module's device, ready before the first pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from locant.probe.audit import rope_of
from locant.probe.frequencies import depends_on_length, frequencies
from locant.probe.rope_config import RopeSet
from locant.probe.rotary import Reference
from locant.probe.structure import Unit, inv_freq_names, text_config

_FULL = 4
"""Bytes per number from which on a frequency is held as it was computed."""


@dataclass(slots=True)
class Frequency:
    """One inverse-frequency tensor: its reference, whether it may change by right, and which tensor it was last.

    `first`: the name of its module's first one, which stands for all of them.
    """

    reference: Reference
    volatile: bool
    identity: tuple[int, int]
    first: str

    def stays(self, module: nn.Module) -> bool:
        """Whether the module holds the tensor that it held, as it was. Asked in every pass."""
        tensor = module._buffers.get(self.first)
        return tensor is not None and identity(tensor) == self.identity


def frequency_book(unit: Unit) -> dict[tuple[int, str], Frequency]:
    """By (id of the module, tensor name), and by (id, "") for a module's first tensor."""
    book: dict[tuple[int, str], Frequency] = {}
    config = text_config(unit.module)
    for part in unit.rotaries:
        names = inv_freq_names(part.module)
        for name in names:
            rope = rope_of(part.module, name, config)
            reference = reference_for(part.module, name, rope)
            volatile = rope is None or depends_on_length(rope)
            entry = Frequency(reference, volatile, identity(getattr(part.module, name)), names[0])
            book[id(part.module), name] = entry
            book.setdefault((id(part.module), ""), entry)
    return book


def steady_frequencies(unit: Unit) -> list[Tensor]:
    """The inverse frequencies in use, float64 on the host, of the rotary sets that no length changes.

    Waits for the device: not for the model's thread.
    """
    config = text_config(unit.module)
    found = []
    for part in unit.rotaries:
        for name in inv_freq_names(part.module):
            rope = rope_of(part.module, name, config)
            if rope is not None and not depends_on_length(rope):
                found.append(getattr(part.module, name).detach().to("cpu", torch.float64).flatten())
    return found


def identity(tensor: Tensor) -> tuple[int, int]:
    """Changes when another tensor takes the place, or when this one is written to."""
    return id(tensor), 0 if tensor.is_inference() else tensor._version


def reference_for(module: nn.Module, name: str, rope: RopeSet | None) -> Reference:
    """The reference of one frequency tensor: from the configuration, else from the tensor itself as it is now."""
    held = getattr(module, name).detach()
    known = frequencies(rope) if rope is not None else None
    if rope is None or known is None or known.inv_freq.numel() != held.numel():
        return _fixed(held.double().flatten().clone(), _scale(module, name))
    if rope.kind == "longrope":
        return _switching(rope, held.device)
    if rope.kind == "dynamic":
        return _growing(module, name, rope, held.device)
    return _fixed(to_device(known.inv_freq, held.device), known.factor)


def held_frequencies(module: nn.Module) -> list[tuple[Tensor, float]]:
    """The frequencies that a module holds in full precision now, each with its factor."""
    named = ((name, getattr(module, name).detach()) for name in inv_freq_names(module))
    return [(tensor, _scale(module, name)) for name, tensor in named if tensor.element_size() >= _FULL]


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device` without waiting for the device."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _scale(module: nn.Module, name: str) -> float:
    value: Any = getattr(module, name.removesuffix("inv_freq") + "attention_scaling", 1.0)
    return float(value) if isinstance(value, (int, float)) else 1.0


def _fixed(inv_freq: Tensor, factor: float) -> Reference:
    return lambda length: (inv_freq, factor)


def _switching(rope: RopeSet, device: torch.device) -> Reference:
    original = int(rope.number("original_max_position_embeddings") or rope.length or 0)
    short, long = frequencies(rope, original), frequencies(rope, original + 1)
    assert short is not None
    assert long is not None
    near, far, factor = to_device(short.inv_freq, device), to_device(long.inv_freq, device), short.factor
    return lambda length: (torch.where(length > original, far, near), factor)


def _growing(module: nn.Module, name: str, rope: RopeSet, device: torch.device) -> Reference:
    """Dynamic NTK keeps the longest length it has met: the module knows it, as an int or as a tensor."""
    assert rope.rotary_size is not None
    factor, trained, size = rope.number("factor") or 1.0, rope.length or 1, rope.rotary_size
    theta = rope.theta or 1.0
    exponent = to_device(torch.arange(0, size, 2, dtype=torch.float64) / size, device)
    attribute = name.removesuffix("inv_freq") + "max_seq_len_cached"

    def reference(length: Tensor) -> tuple[Tensor, float] | None:
        reached = getattr(module, attribute, None)
        if isinstance(reached, (int, float)):
            reached = torch.full((), reached, device=device)
        if not isinstance(reached, Tensor):
            return None
        stretch = factor * reached.double().clamp_min(trained) / trained - (factor - 1)
        return (theta * stretch ** (size / (size - 2))) ** -exponent, 1.0

    return reference
