"""The ALiBi slopes of Press et al. 2021 (and the order in which MPT keeps them), in float64."""

from __future__ import annotations

import math


def alibi_slopes(heads: int, bias_max: float = 8.0) -> tuple[float, ...]:
    """The published slope of each head, steepest series first.

    A power of two gives 2^(-8i/n); any other count takes the series of the power below and fills up with every
    second slope of the power above.
    """
    power = 2 ** math.floor(math.log2(heads))
    series = _series(power, bias_max)
    return (*series, *_series(2 * power, bias_max)[::2])[:heads]


def _series(count: int, bias_max: float) -> tuple[float, ...]:
    return tuple(2.0 ** (-bias_max * (i + 1) / count) for i in range(count))
