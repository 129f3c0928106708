"""Where a pass's tokens stand: effective positions of a few columns of its first rows, for whoever must look closer."""

from __future__ import annotations

import torch
from torch import Tensor

from locant.observation import ABSENT
from locant.probe.masks import kept_tokens
from locant.probe.row_inputs import RowInputs, RowRules

ROWS, COLUMNS = 16, 128
WHOLE_ROWS, WHOLE_COLUMNS, WHOLE_PLACES = 64, 1024, 8192
"""Of a pass that is looked at whole: at most so many rows and columns, and so many positions in all (40 KiB sent)."""
LARGE_BATCH = 512
"""Beyond it a pass's rows alone nearly fill a frame of the wire."""


def places(inputs: RowInputs, rules: RowRules, *, whole: bool = False) -> Tensor | None:
    """int64 [1 + rows, columns] on the device: the columns' numbers, then their positions, `ABSENT` for padding.

    Columns are spread evenly over the call, the first and the last among them; of several position axes the first.
    """
    given = inputs.positions
    if given is None or given.dim() not in (2, 3):
        return None
    axis = given if given.dim() == 2 else given[0]
    whole = whole and inputs.batch <= LARGE_BATCH
    rows = min(inputs.batch, WHOLE_ROWS if whole else ROWS)
    count = min(min(WHOLE_COLUMNS, WHOLE_PLACES // max(rows, 1)) if whole else COLUMNS, inputs.queries)
    column = torch.arange(count, device=inputs.device) * (inputs.queries - 1) // max(count - 1, 1)
    real = kept_tokens(inputs, rules).real[:rows]
    found = axis.expand(inputs.batch, -1)[:rows].long().masked_fill(~real, ABSENT)
    return torch.cat([column[None], found.index_select(1, column)])
