"""What the attention profiler must know of an armed pass, as tensors on the model's device."""

from __future__ import annotations

import torch
from torch import Tensor

from locant.probe.attention.contract import PassContext
from locant.probe.call import Call, fit_positions
from locant.probe.masks import kept_tokens
from locant.probe.passes import Pass
from locant.probe.references import to_device
from locant.probe.row_inputs import RowInputs, RowRules
from locant.probe.segments import start_flags


def pass_context(state: Pass, rules: RowRules, *, causal: bool, two_way: bool = False) -> PassContext:
    """The context of a pass that is about to run, from what its caller gave."""
    call = state.call.transposed() if state.call.masks_columns else state.call
    assert call.device is not None
    inputs = RowInputs(call.batch, call.queries, call.device, ids=call.ids, mask=call.mask, cached=state.cached or 0)
    known = call.mask is not None or (call.ids is not None and rules.pad_id is not None and not call.opaque_mask)
    real = kept_tokens(inputs, rules).real if known else None
    return PassContext(
        pass_number=state.number,
        batch=call.batch,
        queries=call.queries,
        key_padding=_key_padding(call, state.cached, real),
        key_request=_key_request(state, call, real),
        query_real=real,
        causal=causal,
        seed=state.number,
        cached=state.cached,
        own_mask=call.opaque_mask,
        two_way=two_way,
    )


def _key_padding(call: Call, cached: int | Tensor | None, real: Tensor | None) -> Tensor | None:
    """bool [B, K]: from a mask that covers the cache too, or from this call's pads when there is no cache."""
    if call.mask is not None and call.mask.shape[1] > call.queries:
        return (call.mask == 0).expand(call.batch, -1)
    return ~real if real is not None and isinstance(cached, int) and cached == 0 else None


def _key_request(state: Pass, call: Call, real: Tensor | None) -> Tensor | None:
    """int64 [B, Q]: the declared segment of each key, else the number of position resets up to it."""
    if call.device is None or not isinstance(state.cached, int) or state.cached:
        return None
    shape = (call.batch, call.queries)
    if state.segments is not None:
        flags = to_device(start_flags(state.segments, *shape), call.device)
        return flags.long().cumsum(1) if real is None else flags.long().cumsum(1).gather(1, _rank(real))
    positions = fit_positions(call.positions, *shape)
    if positions is None or positions.dim() != 2 or call.queries < 2:
        return None
    places = positions.expand(*shape)
    falls = places[:, 1:] < places[:, :-1]
    if real is not None:
        falls = falls & real[:, 1:] & real[:, :-1]
    return torch.nn.functional.pad(falls.long().cumsum(1), (1, 0))


def _rank(real: Tensor) -> Tensor:
    return (real.cumsum(1) - 1).clamp_min(0)
