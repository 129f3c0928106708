"""The functions of flash-attn 2.8.3, one sequence after the other. Dropout is not done, nor are paged caches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flash_attn.dense import attend

Window = tuple[int, int]


def flash_attn_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Window = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Tensor:
    """[batch, tokens, heads, size]."""
    _require_defaults(dropout_p, return_attn_probs)
    rows = [
        attend(
            *parts,
            scale=softmax_scale,
            causal=causal,
            window=window_size,
            softcap=softcap,
            slopes=_slopes(alibi_slopes, n),
        )
        for n, parts in enumerate(zip(q, k, v, strict=True))
    ]
    return torch.stack(rows)


def flash_attn_kvpacked_func(
    q: Tensor,
    kv: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Window = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Tensor:
    """`kv` [batch, tokens, 2, heads, size]."""
    given: Any = (dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes, deterministic)
    return flash_attn_func(q, kv[:, :, 0], kv[:, :, 1], *given, return_attn_probs)


def flash_attn_qkvpacked_func(
    qkv: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Window = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Tensor:
    """`qkv` [batch, tokens, 3, heads, size]."""
    given: Any = (dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes, deterministic)
    return flash_attn_func(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], *given, return_attn_probs)


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Window = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    block_table: Tensor | None = None,
) -> Tensor:
    """[tokens, heads, size]; tokens outside of all requests are left at 0."""
    _require_defaults(dropout_p, return_attn_probs, block_table)
    found = torch.zeros_like(q)
    for n in range(len(cu_seqlens_q) - 1):
        mine, theirs = slice(cu_seqlens_q[n], cu_seqlens_q[n + 1]), slice(cu_seqlens_k[n], cu_seqlens_k[n + 1])
        found[mine] = attend(
            q[mine],
            k[theirs],
            v[theirs],
            scale=softmax_scale,
            causal=causal,
            window=window_size,
            softcap=softcap,
            slopes=_slopes(alibi_slopes, n),
        )
    return found


def flash_attn_varlen_kvpacked_func(
    q: Tensor,
    kv: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Window = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Tensor:
    """`kv` [tokens, 2, heads, size]."""
    lengths: Any = (cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
    given: Any = (dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes, deterministic)
    return flash_attn_varlen_func(q, kv[:, 0], kv[:, 1], *lengths, *given, return_attn_probs)


def flash_attn_varlen_qkvpacked_func(
    qkv: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Window = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Tensor:
    """`qkv` [tokens, 3, heads, size]."""
    lengths: Any = (cu_seqlens, cu_seqlens, max_seqlen, max_seqlen)
    given: Any = (dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes, deterministic)
    return flash_attn_varlen_func(qkv[:, 0], qkv[:, 1], qkv[:, 2], *lengths, *given, return_attn_probs)


def flash_attn_with_kvcache(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    k: Tensor | None = None,
    v: Tensor | None = None,
    rotary_cos: Tensor | None = None,
    rotary_sin: Tensor | None = None,
    cache_seqlens: int | Tensor | None = None,
    cache_batch_idx: Tensor | None = None,
    cache_leftpad: Tensor | None = None,
    block_table: Tensor | None = None,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Window = (-1, -1),
    softcap: float = 0.0,
    rotary_interleaved: bool = True,
    alibi_slopes: Tensor | None = None,
    num_splits: int = 0,
    return_softmax_lse: bool = False,
) -> Tensor:
    """New keys and values are written into the cache, at `cache_seqlens` of each sequence."""
    _require_defaults(rotary_cos, rotary_sin, cache_batch_idx, block_table, return_softmax_lse)
    rows = []
    for n in range(q.shape[0]):
        used = k_cache.shape[1] if cache_seqlens is None else int(torch.as_tensor(cache_seqlens).expand(q.shape[0])[n])
        if k is not None and v is not None:
            k_cache[n, used : used + k.shape[1]], v_cache[n, used : used + k.shape[1]] = k[n], v[n]
            used += k.shape[1]
        first = int(cache_leftpad[n]) if cache_leftpad is not None else 0
        held = k_cache[n, first:used], v_cache[n, first:used]
        rows.append(
            attend(
                q[n],
                *held,
                scale=softmax_scale,
                causal=causal,
                window=window_size,
                softcap=softcap,
                slopes=_slopes(alibi_slopes, n),
            )
        )
    return torch.stack(rows)


def _slopes(slopes: Tensor | None, sequence: int) -> Tensor | None:
    return slopes if slopes is None or slopes.dim() == 1 else slopes[sequence]


def _require_defaults(*values: Any) -> None:
    assert not any(values), "The double does not do this."
