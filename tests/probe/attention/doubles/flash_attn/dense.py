"""Attention of one sequence as flash-attn defines it, with the whole matrix, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

calls: list[Tensor] = []
"""The weights [heads, queries, keys] of every sequence computed since the list was last cleared."""


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None,
    causal: bool,
    window: tuple[int, int],
    softcap: float,
    slopes: Tensor | None,
) -> Tensor:
    """[queries, heads, size] of queries [queries, heads, size] and keys and values [keys, groups, size]."""
    heads, size = q.shape[1], q.shape[2]
    repeats = heads // k.shape[1]
    keys, values = (t.double().repeat_interleave(repeats, dim=1) for t in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q.double(), keys) * (size**-0.5 if scale is None else scale)
    if softcap > 0:
        scores = softcap * torch.tanh(scores / softcap)
    own = torch.arange(q.shape[0])[:, None] + k.shape[0] - q.shape[0]
    key = torch.arange(k.shape[0])
    if slopes is not None:
        scores = scores - slopes.double()[:, None, None] * (own - key).abs()
    left, right = window[0], 0 if causal else window[1]
    hidden = torch.zeros(q.shape[0], k.shape[0], dtype=torch.bool)
    if left >= 0:
        hidden |= key < own - left
    if right >= 0:
        hidden |= key > own + right
    weights = scores.masked_fill(hidden, -torch.inf).softmax(-1).nan_to_num(0.0)
    calls.append(weights)
    return torch.einsum("hqk,khd->qhd", weights, values).to(q.dtype)
