"""The cos and sin that a rotary module gave, beside float64 at a few of the positions it was asked for.

Everything stays on the device; nothing is read back. At most 16 positions and 64 neighbours are looked at, some 40
small operations, on sampled passes only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_POINTS = 16
_NEIGHBOURS = 64
_FLOAT32_ANGLE = 1.8e-7
"""A float32 angle is a product of two rounded factors: 1.5 units of 2^-23 of the angle itself."""

_INDISTINCT = 1e-6
"""Rotary values of neighbours differ by tenths in the fastest channel; garbage frequencies leave them alike."""

Reference = Callable[[Tensor], tuple[Tensor, float] | None]
"""Longest position + 1 of the call (a 0-d tensor) -> (inv_freq float64 [F], factor), on the device."""


@dataclass(frozen=True, slots=True)
class Waves:
    """cos and sin [n, D] float as they left the module, positions int64 [axes, n], rows of Q columns."""

    cos: Tensor
    sin: Tensor
    positions: Tensor
    columns: int


def waves(positions: Any, output: Any) -> Waves | None:
    """The module's answer in one shape; None for a form that is not known."""
    if not isinstance(positions, Tensor) or positions.dim() not in (2, 3):
        return None
    if isinstance(output, Tensor) and output.is_complex():
        cos, sin = output.real, output.imag
    elif isinstance(output, (tuple, list)) and len(output) == 2 and all(isinstance(o, Tensor) for o in output):
        cos, sin = output
    else:
        return None
    axes = positions[None] if positions.dim() == 2 else positions
    count = axes.shape[1] * axes.shape[2]
    width = cos.shape[-1]
    if cos.shape != sin.shape or cos.numel() != count * width or cos.numel() == 0:
        return None
    flat = (cos.detach().reshape(count, width), sin.detach().reshape(count, width))
    return Waves(*flat, axes.detach().reshape(axes.shape[0], count), axes.shape[2])


def compare(found: Waves, reference: Reference, held: Sequence[tuple[Tensor, float]] = ()) -> Tensor | None:
    """float64 [4] on the device: output error, norm error, tie ratio, own error (see `RotaryFacts`); None without a
    reference. `held`: the frequencies that the module holds, each with its factor; one of them may have been used.

    The layout (halves side by side, interleaved, halves once) is whichever fits best; with several position axes each
    channel may follow any of them. float32's own loss in the angle and the output's rounding are forgiven.
    """
    expected = reference(found.positions.amax() + 1)
    if expected is None:
        return None
    inv_freq, factor = expected
    maps = _layouts(found.cos.shape[-1], inv_freq.numel(), inv_freq.device)
    if not maps:
        return None
    step = max(1, -(-found.cos.shape[0] // _POINTS))
    some = slice((found.cos.shape[0] - 1) % step, None, step)
    error = _error(found, some, maps, inv_freq, factor)
    own = [
        _error(found, some, maps, tensor.double().flatten(), scale)
        for tensor, scale in held
        if tensor.numel() == inv_freq.numel() and tensor.device == inv_freq.device
    ]
    apart = torch.stack([error, *own]).amin()
    cos, sin = found.cos[some].double(), found.sin[some].double()
    norm = ((cos.square() + sin.square()).sqrt() / factor - 1).abs()
    return torch.stack([error, torch.nan_to_num(norm, nan=1.0).amax(), _ties(found), apart])


def _error(found: Waves, some: slice, maps: list[Tensor], inv_freq: Tensor, factor: float) -> Tensor:
    """Largest distance of the chosen cos and sin from those of `inv_freq`, in the layout that fits best."""
    cos, sin = found.cos[some].double(), found.sin[some].double()
    angle = found.positions[:, some, None].double() * inv_freq
    forgiven = _rounding(found.cos.dtype, factor) + angle.abs() * (_FLOAT32_ANGLE * factor)
    errors = []
    for channel in maps:
        turn = angle[..., channel]
        gap = torch.maximum((cos - turn.cos() * factor).abs(), (sin - turn.sin() * factor).abs())
        gap = torch.nan_to_num(gap, nan=2.0) - forgiven[..., channel]
        errors.append(gap.amax(1).amin(0).amax())
    return torch.stack(errors).amin().clamp_min(0)


def _layouts(width: int, pairs: int, device: torch.device) -> list[Tensor]:
    channel = torch.arange(width, device=device)
    if width == pairs:
        return [channel]
    return [channel % pairs, channel // 2] if width == 2 * pairs else []


def _rounding(dtype: torch.dtype, factor: float) -> float:
    """Half a unit in the last place of values just below `factor`, and a little for float32's own cos."""
    return torch.finfo(dtype).eps / 4 * (2 if factor > 1 else 1) + 1e-6


def _ties(found: Waves) -> Tensor:
    """Share of neighbouring distinct positions, among the last of the first row, with the same cos and sin."""
    first = slice(max(0, found.columns - _NEIGHBOURS - 1), found.columns)
    cos, sin, positions = found.cos[first], found.sin[first], found.positions[:, first]
    distinct = (positions[:, 1:] != positions[:, :-1]).any(0)
    apart = torch.maximum((cos[1:] - cos[:-1]).abs().amax(-1), (sin[1:] - sin[:-1]).abs().amax(-1))
    same = ~(apart > _INDISTINCT)
    return (same & distinct).sum().double() / distinct.sum().clamp_min(1)


def parameters_hash(tensors: list[Tensor]) -> Tensor:
    """A 31-bit number, 0-d int64 on the device, that changes when a bit or the order of the frequencies does."""
    total = None
    for tensor in tensors:
        bits = tensor.detach().contiguous().view(_BITS[tensor.element_size()]).long().flatten()
        weight = torch.arange(1, 2 * bits.numel(), 2, device=bits.device) * 0x1E3779B97F4A7C15
        mixed = (bits + 0x5851F42D) * weight
        part = (mixed ^ (mixed >> 31)).sum()
        total = part if total is None else total * 31 + part
    assert total is not None
    return (total >> 16) & 0x7FFFFFFF


_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
