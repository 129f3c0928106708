"""Tensors of a tensor-parallel model, as far as they lie on this rank. Nothing is exchanged with another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_HEADS = 1
"""The dimension of heads in queries and keys [B, H, Q, D]."""


def on_this_rank(values: Sequence[Any]) -> list[Any] | None:
    """The values with each distributed tensor as this rank's part: its own heads, or all of what every rank has.

    None where one is split along anything else, or is a sum still to be made: then a rank sees no whole attention.
    """
    found = []
    for value in values:
        placements = getattr(value, "placements", None)
        if placements is None or not hasattr(value, "to_local"):
            found.append(value)
        elif all(one.is_replicate() or one.is_shard(_HEADS) for one in placements):
            found.append(value.to_local())
        else:
            return None
    return found
