"""A statistic of every layer and head at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from locant.show.scale import Colour, shade
from locant.show.tables import called
from locant.sidecar.kept.passes import STATISTICS, KeptPass

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Matrix:
    """Means over sampled rows: `values[n][k]` of layer `layers[n]` and head `heads[k]`, None where it was not read.

    White stands for `low`, dark blue for `high`: of a mass 0 and the largest, of anything else the least and largest.
    """

    name: str
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    values: tuple[tuple[float | None, ...], ...]
    low: float
    high: float

    @property
    def is_even(self) -> bool:
        """Whether it is one number everywhere, but for rounding."""
        return self.high - self.low <= _ROUNDING * max(abs(self.low), abs(self.high), 1.0)

    @property
    def told(self) -> str:
        """The name, and what the colours span."""
        if self.is_even:
            return f"{self.name}: {self.high if abs(self.high) > _ROUNDING else 0:.3g}"
        return f"{self.name}: {self.low:.3g} to {self.high:.3g}"

    def colour(self, value: float) -> Colour:
        """The colour of one of the values."""
        return shade((value - self.low) / (self.high - self.low) if self.high > self.low else 0.0)


def matrices(kept: KeptPass) -> Iterator[Matrix]:
    """One for each statistic that the pass has, of the layers that were looked at."""
    layers = sorted((layer for layer in kept.layers if layer.rows), key=lambda layer: layer.layer)
    heads = tuple(sorted({head for layer in layers for head in layer.heads or range(len(layer.entropy))}))
    for name in STATISTICS if heads else ():
        lines = []
        for layer in layers:
            sums = getattr(layer, name)
            own = dict(zip(layer.heads or range(len(sums)), sums, strict=False))
            lines.append(tuple(own[head] / layer.rows if head in own else None for head in heads))
        known = [value for line in lines for value in line if value is not None]
        if known:
            low = min(0.0, *known) if name.endswith("mass") else min(known)
            numbers = tuple(layer.layer for layer in layers)
            yield Matrix(called(name), numbers, heads, tuple(lines), low, max(known))
