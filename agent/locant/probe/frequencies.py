"""Inverse frequencies and attention factor of every published RoPE scaling, computed here in float64.

Own code on purpose: a wrong value computed twice by the same library agrees with itself. Sources: RoFormer (Su et al.
2021), dynamic NTK scaling (bloc97, emozilla 2023), YaRN (Peng et al. 2023), LongRoPE (Ding et al. 2024), Llama 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from locant.probe.rope_config import RopeSet


@dataclass(frozen=True, slots=True)
class Frequencies:
    """`inv_freq`: float64 [pairs] on the CPU; `factor`: what cos and sin are multiplied by."""

    inv_freq: torch.Tensor
    factor: float


def frequencies(rope: RopeSet, length: int | None = None) -> Frequencies | None:
    """What the configuration says, for a sequence of `length` positions; None for a scaling that is not known.

    Only dynamic and longrope depend on `length`; without one they answer for a short sequence.
    """
    rule = _RULES.get(rope.kind)
    if rule is None or rope.theta is None or not rope.rotary_size or rope.rotary_size < 2:
        return None
    return rule(rope, length)


def depends_on_length(rope: RopeSet) -> bool:
    """Whether the frequencies legally change with the sequence's length."""
    return rope.kind in {"dynamic", "longrope"}


def _plain(theta: float, size: int) -> torch.Tensor:
    exponent = torch.arange(0, size, 2, dtype=torch.float64) / size
    return torch.pow(torch.tensor(theta, dtype=torch.float64), -exponent)


def _theta(rope: RopeSet) -> tuple[float, int]:
    assert rope.theta is not None
    assert rope.rotary_size is not None
    return rope.theta, rope.rotary_size


def _default(rope: RopeSet, length: int | None) -> Frequencies:
    return Frequencies(_plain(*_theta(rope)), 1.0)


def _linear(rope: RopeSet, length: int | None) -> Frequencies | None:
    factor = rope.number("factor")
    return Frequencies(_plain(*_theta(rope)) / factor, 1.0) if factor else None


def _dynamic(rope: RopeSet, length: int | None) -> Frequencies | None:
    factor, trained = rope.number("factor"), rope.length
    if factor is None or trained is None:
        return None
    theta, size = _theta(rope)
    reach = max(length or trained, trained)
    stretched = theta * ((factor * reach / trained) - (factor - 1)) ** (size / (size - 2))
    return Frequencies(_plain(stretched, size), 1.0)


def _yarn(rope: RopeSet, length: int | None) -> Frequencies | None:
    original = rope.number("original_max_position_embeddings") or rope.length
    if not original:
        return None
    theta, size = _theta(rope)
    factor = rope.number("factor") or (rope.length or original) / original
    low = _correction(rope.number("beta_fast") or 32.0, size, theta, original)
    high = _correction(rope.number("beta_slow") or 1.0, size, theta, original)
    if rope.parameters.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    ramp = (torch.arange(size // 2, dtype=torch.float64) - low) / ((high - low) or 0.001)
    interpolated = ramp.clamp(0, 1)
    plain = _plain(theta, size)
    return Frequencies(plain / factor * interpolated + plain * (1 - interpolated), _yarn_factor(rope, factor))


def _correction(rotations: float, size: int, theta: float, original: float) -> float:
    """Channel pair whose wavelength makes `rotations` turns within the original length (YaRN, equation 17)."""
    return size * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))


def _yarn_factor(rope: RopeSet, scale: float) -> float:
    stated = rope.number("attention_factor")
    if stated is not None:
        return stated
    one, all_dims = rope.number("mscale"), rope.number("mscale_all_dim")
    return _mscale(scale, one) / _mscale(scale, all_dims) if one and all_dims else _mscale(scale, 1.0)


def _mscale(scale: float, weight: float) -> float:
    return 1.0 if scale <= 1 else 0.1 * weight * math.log(scale) + 1.0


def _longrope(rope: RopeSet, length: int | None) -> Frequencies | None:
    original = rope.number("original_max_position_embeddings") or rope.length
    short, long = rope.parameters.get("short_factor"), rope.parameters.get("long_factor")
    theta, size = _theta(rope)
    if not original or not _numbers(short, size // 2) or not _numbers(long, size // 2):
        return None
    chosen = long if length is not None and length > original else short
    scale = rope.number("factor") or (rope.length or original) / original
    stated = rope.number("attention_factor")
    attention = 1.0 if scale <= 1 else math.sqrt(1 + math.log(scale) / math.log(original))
    divisor = torch.tensor(chosen, dtype=torch.float64)
    return Frequencies(_plain(theta, size) / divisor, attention if stated is None else stated)


def _numbers(values: object, count: int) -> bool:
    return isinstance(values, Sequence) and len(values) == count


def _llama3(rope: RopeSet, length: int | None) -> Frequencies | None:
    factor, original = rope.number("factor"), rope.number("original_max_position_embeddings") or rope.length
    low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
    if not factor or not original or low is None or high is None or high == low:
        return None
    plain = _plain(*_theta(rope))
    turns = original * plain / (2 * math.pi)
    smooth = ((turns - low) / (high - low)).clamp(0, 1)
    return Frequencies(plain / factor * (1 - smooth) + plain * smooth, 1.0)


def _proportional(rope: RopeSet, length: int | None) -> Frequencies | None:
    theta, size = _theta(rope)[0], rope.head_size
    if not size:
        return None
    share = rope.number("partial_rotary_factor")
    rotated = int((1.0 if share is None else share) * size // 2)
    inv_freq = torch.zeros(size // 2, dtype=torch.float64)
    inv_freq[:rotated] = _plain(theta, size)[:rotated]
    return Frequencies(inv_freq / (rope.number("factor") or 1.0), 1.0)


_RULES: dict[str, Callable[[RopeSet, int | None], Frequencies | None]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
    "proportional": _proportional,
}
