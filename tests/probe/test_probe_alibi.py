"""Slopes and positions read from an ALiBi bias, by sign and under padding on either side."""

from __future__ import annotations

import pytest
import torch

from locant.probe.alibi import measure, positions_from
from locant.probe.slopes import alibi_slopes

SLOPES = alibi_slopes(4)
MASK = torch.tensor([[1] * 10, [1] * 5 + [0] * 5, [0] * 4 + [1] * 6])
COUNTED = (MASK.cumsum(1) - 1) * MASK


def bias(factor: float = 1.0) -> torch.Tensor:
    """What BLOOM hands to its layers, [rows, heads, keys], each slope times `factor`."""
    return factor * COUNTED[:, None].float() * torch.tensor(SLOPES)[None, :, None]


@pytest.mark.parametrize("factor", [1.0, 0.5, 2.0])
def test_positions_are_the_bias_in_steps_whatever_the_slope_and_the_padding(factor):
    assert positions_from(bias(factor), SLOPES[0], 0, 0, 10).equal(COUNTED)
    assert positions_from(bias(factor), SLOPES[0], 0, 7, 3).equal(COUNTED[:, 7:])


def test_a_bias_without_steps_says_nothing_of_positions():
    assert positions_from(bias(0), SLOPES[0], 0, torch.tensor(4), 3).tolist() == [[4, 5, 6]] * 3


@pytest.mark.parametrize(("factor", "error"), [(1.0, 0.0), (-1.0, 2.0), (0.0, 1.0), (0.5, 0.5)])
def test_slopes_are_measured_with_their_sign(factor, error):
    found, _ = measure(bias(factor), torch.tensor(SLOPES, dtype=torch.float64), 0, MASK.bool()).tolist()
    assert found == pytest.approx(error, abs=0.005)


def test_padding_alone_has_no_slope():
    hidden = torch.zeros_like(MASK, dtype=torch.bool)
    assert measure(bias(0), torch.tensor(SLOPES, dtype=torch.float64), 0, hidden)[0] == 0
