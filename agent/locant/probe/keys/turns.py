"""The arithmetic of rotated keys: how far one key is from another, and by how many positions it was turned.

RoPE multiplies pair j of a key, read as a complex number, by exp(i * position * frequency_j) (Su et al. 2021, section
3.2.2). So the magnitudes of the pairs stay, and the phase between two states of one key tells the positions between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

_MOST_TURNS = 8192
_LEAST_PAIRS = 4


def apart(one: Tensor, other: Tensor) -> Tensor:
    """Squared distance of two keys over the product of their lengths; far where one is zero or not finite."""
    size = one.norm(dim=-1) * other.norm(dim=-1)
    return torch.nan_to_num((one - other).square().sum(-1) / size, nan=4.0, posinf=4.0)


class Turn:
    """Two states of one key, [size] float64 each, for one reading of which channels make a pair.

    `reshaped`: what no rotation explains, the difference in magnitudes of pairs and in the other channels.
    """

    def __init__(self, now: Tensor, then: Tensor, frequencies: Tensor, real: Tensor, imaginary: Tensor) -> None:
        self._frequencies = frequencies
        size = now.norm() * then.norm()
        new, old = torch.complex(now[real], now[imaginary]), torch.complex(then[real], then[imaginary])
        rest = (now - then).square().sum() - (new - old).abs().square().sum()
        self._cross = old.conj() * new / size
        self._constant = (rest + new.abs().square().sum() + old.abs().square().sum()) / size
        self.reshaped = float(torch.nan_to_num((rest + (new.abs() - old.abs()).square().sum()) / size, nan=4.0))

    def after(self, turns: int) -> float:
        """What remains apart after turning the old key on by so many positions."""
        return float(self._remains(torch.tensor([turns]))[0])

    def nearest(self, span: int) -> tuple[int, float]:
        """The number of positions within `span` that explains the new key best, and what then remains apart."""
        turns = torch.arange(-span, span + 1)
        remains = self._remains(turns)
        best = int(remains.argmin())
        return int(turns[best]), float(remains[best])

    def _remains(self, turns: Tensor) -> Tensor:
        angles = turns.double()[:, None] * self._frequencies
        explained = angles.cos() @ self._cross.real + angles.sin() @ self._cross.imag
        remains: Tensor = (self._constant - 2 * explained).clamp_min(0)
        return remains


def readings(now: Tensor, then: Tensor, frequencies: Sequence[Tensor]) -> Iterator[Turn]:
    """Every way to read the pairs: halves or neighbours, at the start or the end of the head, for each rotary set."""
    width = now.shape[-1]
    for rotary in frequencies:
        count = rotary.numel()
        if not _LEAST_PAIRS <= count <= width // 2:
            continue
        channel = torch.arange(count)
        for start in sorted({0, width - 2 * count}):
            yield Turn(now, then, rotary, start + channel, start + count + channel)
            yield Turn(now, then, rotary, start + 2 * channel, start + 2 * channel + 1)


def span_of(*positions: int) -> int:
    """How far to look for a turn: as far as the positions at hand reach."""
    return min(max(positions) + 1, _MOST_TURNS)
