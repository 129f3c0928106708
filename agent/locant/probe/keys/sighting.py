"""What a pass whose keys are compared sends."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from locant.probe.call import Call
from locant.probe.keys.tail import Tail, column


class Sighting(NamedTuple):
    """What a compared pass sends: the newest keys as the cache's last pass left them, and the keys of which number
    `slot` now stands before this pass's own."""

    then: Tail
    now: Tensor
    slot: int

    @property
    def on_host(self) -> bool:
        """Whether the keys need not travel."""
        return self.then.keys.is_cpu and self.now.is_cpu

    def tensors(self) -> dict[str, Tensor]:
        """The keys, by name."""
        return {"keys.then": self.then.keys, "keys.now": self.now}


def shown(call: Call, cached: int | Tensor | None, mask: Tensor | None) -> tuple[Tensor, ...]:
    """The caller's 2-D mask at the slot before this call's own, as columns [1, rows] counted from both ends."""
    if mask is None or mask.shape[1] <= call.queries:
        return ()
    from_end = mask.shape[1] - call.queries - 1
    from_start = cached - 1 if isinstance(cached, int) else from_end
    if from_start == from_end or not 0 <= from_start < from_end:
        return (column(mask, from_end),)
    return column(mask, from_end), column(mask, from_start)
