"""What the probe hands to the attention profiler for one armed pass, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class PassContext:
    """One armed forward pass: what the keys and queries are. Everything stays on the model's device.

    Keys count from the start of the sequence, cached ones first (K = cached + Q, or more for a static cache).
    `key_padding`: bool [B, K], True where the key is padding. `key_request`, int64 [B, K]: which request of a
    packed row a key belongs to. `query_real`, bool [B, Q]. None where it is not known or there is nothing to tell.
    `cached`: tokens that the cache counts before this pass (None: unknown). Where the device counts a 0-d tensor, [B]
    where sequences differ.
    `own_mask`: the caller made the mask itself (4-D or a block mask), so that it may mean anything.
    `blocks`: the family lets blocks of tokens (images, prefixes) see each other in a causal layer.
    `two_way`: the family is known to look both ways in every layer.
    """

    pass_number: int
    batch: int
    queries: int
    key_padding: torch.Tensor | None
    key_request: torch.Tensor | None
    query_real: torch.Tensor | None
    causal: bool
    seed: int
    cached: int | torch.Tensor | None = None
    own_mask: bool = False
    blocks: bool = False
    two_way: bool = False

    def on(self, device: torch.device) -> PassContext:
        """The same with its tensors on a device; between CUDA devices that waits for nothing."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        tensors = {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
        if all(value.device == device for value in tensors.values()):
            return self
        moved: dict[str, Any] = {name: value.to(device, non_blocking=True) for name, value in tensors.items()}
        return replace(self, **moved)


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """One layer of an armed pass, on the device. Sums over sampled query rows, per head.

    `sums`: float32 [S, H] in the order of `STATISTICS`. `rows`, `padded_rows`: int64 scalars (tensors).
    `padding_mass_largest`: float32 scalar. `visibility`: int64 [B, 7], per sequence the largest over sampled queries of
    (window_excess, window_deficit, future_visible, self_blind, pads_visible, cross_visible, future_hidden),
    `observation.ABSENT` where it could not be judged. `heat`: float32 [bins, bins] for one head, with `heat_rows`
    int64 [bins]. `window`: of the layer, 0 for none; `mask`: how the call limits what is seen, see `limits_of`.
    `turned`: the call's sequences are the columns of the tokens, as the pass's context has them.
    """

    layer: int
    sums: torch.Tensor
    rows: torch.Tensor
    padded_rows: torch.Tensor
    padding_mass_largest: torch.Tensor
    visibility: torch.Tensor
    heat_head: int = -1
    heat: torch.Tensor | None = None
    heat_rows: torch.Tensor | None = None
    window: int = 0
    mask: str = ""
    turned: bool = False


LINEAR = (
    "padding_mass",
    "cross_mass",
    "future_mass",
    "window_mass",
    "self_mass",
    "first_token_mass",
    "recency_mass",
    "distance",
    "log_distance",
)
"""Statistics that are sums of weight times a property of the (query, key) pair."""

STATISTICS = (*LINEAR, "entropy", "relative_entropy", "largest_weight", "log_sum_exp")
"""What the engines give, in their order."""

Sink = Callable[[LayerStatistics], None]
"""Takes each layer's result, on the model's thread, as soon as it is launched."""
