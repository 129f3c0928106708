"""Which way the tokens of a plain model run: as its attention takes them, and as its position table numbers them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from locant.probe.attention.contract import LayerStatistics
from locant.probe.call import Call


class Axes:
    """What the attention of a model's passes told so far.

    `down`: its sequences are the columns of the tokens; False: their rows; None: not seen, or both. `turned`: its table
    is asked with tokens turned. Square batches tell neither.
    """

    def __init__(self) -> None:
        self.down: bool | None = None
        self.turned: bool | None = None

    def learn(self, call: Call, layers: Sequence[LayerStatistics]) -> None:
        """From the layers of one pass that were looked at."""
        if not layers or call.batch == call.queries:
            return
        found = {layer.turned != call.masks_columns for layer in layers}  # the mask already turned what was looked at
        self.down = found.pop() if len(found) == 1 else None

    def upright(self, call: Call, positions: Tensor | None, padding_mask: Tensor | None) -> Call:
        """The call with tokens [batch, sequence]: torch's own modules may take [sequence, batch].

        Where attention does not say it, the rows of the position table or the padding mask do.
        """
        if call.ids is None or self.down is False:
            return call
        if call.batch == call.queries:
            return call.transposed() if self.down else call
        by_mask = padding_mask is not None and tuple(padding_mask.shape) == (call.queries, call.batch)
        by_table = positions is not None and positions.numel() == call.batch and positions.dim() < 2
        return call.transposed() if by_mask or call.masks_columns or by_table else call

    def placed(self, call: Call, positions: Tensor | None) -> Tensor | None:
        """Positions as the table was asked for them; upright in a square batch, and None where that is not known."""
        if positions is None or positions.dim() != 2 or 1 in positions.shape:
            return positions
        if call.batch != call.queries:
            self.turned = positions.shape == (call.queries, call.batch)
            return positions
        if self.turned is None:
            return None
        return positions.t() if self.turned != bool(self.down) else positions

    def across(self, call: Call, positions: Tensor | None) -> bool:
        """Whether attention runs down the batch although each row has as many positions as it has tokens."""
        if self.down is not True or positions is None or call.batch == call.queries:
            return False
        return call.batch > 1 and call.queries > 1 and positions.shape[-1] == call.queries


def one_for_each_row(positions: Tensor | None, call: Call) -> Tensor | None:
    """Where rows are sequences: a single position [1 | B, 1] or [B] is that of every token in its row."""
    if positions is None or call.queries == 1 or positions.numel() not in (1, call.batch):
        return positions
    if positions.dim() == 2 and positions.shape[1] == 1:
        return positions.expand(-1, call.queries)
    if positions.dim() == 1 and positions.numel() != call.queries:
        return positions[:, None].expand(-1, call.queries)
    return positions
