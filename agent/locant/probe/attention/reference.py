"""The statistics as they are defined: float64, the whole matrix, no tricks. What the engines are tested against."""

from __future__ import annotations

import torch
from torch import Tensor

from locant.probe.attention.calls import KernelCall
from locant.probe.attention.engine import RECENT_KEYS


def dense_scores(call: KernelCall) -> Tensor:
    """Scores before the softmax, float64 [B, H, Q, K], -inf where a key is hidden."""
    queries, keys = call.query.double(), call.key.double()
    repeats = queries.shape[1] // keys.shape[1]
    scores = queries @ keys.repeat_interleave(repeats, dim=1).transpose(-1, -2) * call.scale
    if call.softcap is not None:
        scores = call.softcap * torch.tanh(scores / call.softcap)
    if call.bias is not None:
        scores = scores + call.bias[..., : call.keys].double()
    if call.mask is not None:
        mask = call.mask[..., : call.keys]
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask.double()
    query, key = torch.arange(queries.shape[2])[:, None], torch.arange(call.keys)
    if call.diagonal is not None:
        scores = scores.masked_fill(key > query + call.diagonal, -torch.inf)
        if call.window is not None:
            scores = scores.masked_fill(key <= query + call.diagonal - call.window, -torch.inf)
    if call.allows is not None:
        for b in range(call.batch):
            allowed = call.allows(torch.tensor(b), torch.tensor(0), query, key)
            scores[b] = scores[b].masked_fill(~allowed, -torch.inf)
    return scores


def dense_weights(call: KernelCall) -> tuple[Tensor, Tensor]:
    """Weights of the keys, float64 [B, H, Q, K] (rows that see nothing: 0), and the log-sum-exp [B, H, Q]."""
    scores = dense_scores(call)
    if call.sinks is not None:
        sink = call.sinks.double()[None, :, None, None].expand(*scores.shape[:3], 1)
        scores = torch.cat([scores, sink], -1)
    total = scores.logsumexp(-1)
    weights = torch.exp(scores - total.masked_fill(total == -torch.inf, 0.0)[..., None])
    return weights[..., : call.keys], total


def reference_statistics(
    call: KernelCall,
    offset: int,
    padding: Tensor | None = None,
    request: Tensor | None = None,
    window: int | None = None,
) -> dict[str, Tensor]:
    """Every statistic of `contract.STATISTICS` by its name, float64 [B, H, Q].

    Query i's own key is column i + `offset`; `padding` bool [B, K], `request` int [B, K], as in `Layout`.
    """
    weights, total = dense_weights(call)
    batch, _, queries, keys = weights.shape
    own, key = torch.arange(queries)[:, None] + offset, torch.arange(keys)
    back = own - key
    nothing = torch.zeros(batch, queries, keys, dtype=torch.bool)
    pads = nothing if padding is None else padding[:, None].expand(-1, queries, -1)
    mine = nothing if request is None else request[:, own[:, 0], None] == request[:, None]
    first = torch.zeros_like(nothing)
    for b in range(batch):
        for i in range(queries):
            usable = ~pads[b, i] & (mine[b, i] if request is not None else True)
            first[b, i, int(usable.to(torch.uint8).argmax())] = True

    def mass(keep: Tensor) -> Tensor:
        return (weights * keep.expand(batch, queries, keys)[:, None]).sum(-1)

    logs = torch.where(weights > 0, weights.log(), 0.0)
    entropy = -(weights * logs).sum(-1)
    visible = (dense_scores(call) > -3e4).sum(-1)
    return {
        "padding_mass": mass(pads),
        "cross_mass": mass(~mine if request is not None else nothing),
        "future_mass": mass(back < 0),
        "window_mass": mass(back >= window if window is not None else nothing),
        "self_mass": mass(back == 0),
        "first_token_mass": mass(first),
        "recency_mass": mass((back >= 0) & (back < RECENT_KEYS)),
        "distance": mass(back.abs().double()),
        "log_distance": mass((back.abs() + 1).double().log()),
        "entropy": entropy,
        "relative_entropy": torch.where(visible > 1, entropy / visible.clamp_min(2).double().log(), 0.0),
        "largest_weight": weights.amax(-1),
        "log_sum_exp": total,
    }
