"""Where a pass's tokens stand: effective positions of a few columns of its first rows, for whoever must look closer."""

from __future__ import annotations

import torch
from torch import Tensor

from locant.observation import ABSENT
from locant.probe.masks import kept_tokens
from locant.probe.row_inputs import RowInputs, RowRules

ROWS = 16
COLUMNS = 128


def places(inputs: RowInputs, rules: RowRules) -> Tensor | None:
    """int64 [1 + rows, columns] on the device: the columns' numbers, then their positions, `ABSENT` for padding.

    Columns are spread evenly over the call, the first and the last among them; of several position axes the first.
    """
    given = inputs.positions
    if given is None or given.dim() not in (2, 3):
        return None
    axis = given if given.dim() == 2 else given[0]
    count = min(COLUMNS, inputs.queries)
    column = torch.arange(count, device=inputs.device) * (inputs.queries - 1) // max(count - 1, 1)
    real = kept_tokens(inputs, rules).real[:ROWS]
    found = axis.expand(inputs.batch, -1)[:ROWS].long().masked_fill(~real, ABSENT)
    return torch.cat([column[None], found.index_select(1, column)])
