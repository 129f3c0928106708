"""What a call of flash-attn's Python functions computes.

Written after flash_attn 2.8.3 (github.com/Dao-AILab/flash-attention, flash_attn/flash_attn_interface.py): tensors are
[batch, tokens, heads, size], or [tokens, heads, size] beside cumulative lengths; causal masks and windows are aligned
at the last key (since 2.1); the cap on scores comes before ALiBi, and that before the mask. Versions 3 and 4 call the
same things by the same names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from locant.probe.attention.alignment import Alignment, Band, CacheAlignment, allowing, band, banded, packed_by_lengths
from locant.probe.attention.calls import Attention, KernelCall
from locant.probe.attention.contract import PassContext
from locant.probe.attention.met import Met
from locant.probe.attention.shaped import Places, ShapedCall
from locant.probe.attention.unpadded import packed_context

_READ = frozenset(
    {
        *("q", "k", "v", "kv", "qkv", "k_cache", "v_cache", "causal", "softmax_scale", "window_size", "softcap"),
        *("alibi_slopes", "learnable_sink", "s_aux", "cache_seqlens", "cache_leftpad"),
        *("cu_seqlens", "cu_seqlens_q", "cu_seqlens_k", "max_seqlen", "max_seqlen_q", "max_seqlen_k"),
        *("dropout_p", "deterministic", "return_attn_probs", "return_softmax_lse", "return_lse", "num_splits"),
        *("rotary_interleaved", "pack_gqa", "sm_margin"),
    }
)
"""Arguments that are read here, or that change no weight. A call with any other one is left alone."""


def flash_call(given: dict[str, Any], context: PassContext) -> Met | None:
    """Self-attention by one of flash-attn's functions, its arguments by their names; None for anything else."""
    if any(name not in _READ and _is_set(value) for name, value in given.items()):
        return None
    query, key = _query_and_key(given)
    if query.shape[-2] % key.shape[-2]:
        return None
    if query.dim() != key.dim():
        return None
    if query.dim() == 3:
        return _packed(given, query, key, context)
    if query.shape[:2] != (context.batch, context.queries) or key.shape[0] != context.batch:
        return None
    if "k_cache" in given:
        return _cached(given, query, key, context)
    offset = key.shape[1] - query.shape[1]
    return Met(_dense(given, query, key, offset), context) if offset >= 0 else None


def _packed(given: dict[str, Any], query: Tensor, key: Tensor, context: PassContext) -> Met | None:
    """A row of requests one after the other, or a batch whose padding was taken out."""
    bounds = given.get("cu_seqlens_q", given.get("cu_seqlens"))
    found = packed_context(context, query.shape[0], query.device)
    if found is None or bounds is None or key.shape[0] != query.shape[0]:
        return None
    alignment = packed_by_lengths(bounds, given.get("cu_seqlens_k", bounds), query.shape[0])
    call = _aligned(given, query[None], key[None], alignment)
    return Met(call, found, None if found is context else bounds)


def _cached(given: dict[str, Any], query: Tensor, key: Tensor, context: PassContext) -> Met | None:
    """After the call, when the new keys are in the cache."""
    told, new = given.get("cache_seqlens"), given.get("k")
    added = new.shape[1] if new is not None else 0
    if added not in (0, query.shape[1]):
        return None
    if not isinstance(told, Tensor) and not _is_set(given.get("cache_leftpad")):
        used = key.shape[1] if told is None else told + added
        before = used - query.shape[1]
        if not 0 <= before <= key.shape[1] - query.shape[1]:
            return None
        known = isinstance(context.cached, int) and context.cached == before
        call = _dense(given, query, key[:, :used], before)
        return Met(call, context if known else replace(context, cached=before), None if known else before)
    told = key.shape[1] if told is None else told
    filled = (told if isinstance(told, Tensor) else torch.full(query.shape[:1], told, device=key.device)).long() + added
    alignment = CacheAlignment(filled - query.shape[1], filled, given.get("cache_leftpad"))
    return Met(_aligned(given, query, key, alignment), replace(context, cached=alignment.offset), told)


def _dense(given: dict[str, Any], query: Tensor, key: Tensor, offset: int) -> Attention:
    """Query 0 stands at column `offset` in every sequence, and all columns are in use."""
    if not _is_set(given.get("alibi_slopes")):
        return banded(_plain(given, query, key), _limits(given), offset)
    filled = torch.full(query.shape[:1], key.shape[1], device=key.device)
    return _aligned(given, query, key, CacheAlignment(torch.full_like(filled, offset), filled))


def _aligned(given: dict[str, Any], query: Tensor, key: Tensor, alignment: Alignment) -> Attention:
    """The general case, with ALiBi where slopes are given, float [H] or [B, H]."""
    plain, slopes = _plain(given, query, key), given.get("alibi_slopes")
    allows = allowing(alignment, _limits(given))
    if slopes is None:
        return replace(plain, allows=allows)

    def change(scores: Tensor, at: Places) -> Tensor:
        slope = slopes[at.heads] if slopes.dim() == 1 else slopes[_owner(alignment, at, slopes), at.heads]
        return scores.sub_(slope * alignment.back(at.sequences, at.queries, at.keys).abs())

    return ShapedCall(plain, change, lambda at: allows(at.sequences, at.heads, at.queries, at.keys), hides=False)


def _owner(alignment: Alignment, at: Places, slopes: Tensor) -> Tensor:
    """Whose slopes count: the sequence's, in packed rows the request's."""
    requests = getattr(alignment, "request_q", None)
    return at.sequences if requests is None else requests[at.queries].clamp(0, slopes.shape[0] - 1)


def _plain(given: dict[str, Any], query: Tensor, key: Tensor) -> KernelCall:
    """Queries and keys as the contract has them, without any mask."""
    scale, sinks = given.get("softmax_scale"), given.get("learnable_sink", given.get("s_aux"))
    return KernelCall(
        query=query.transpose(1, 2),
        key=key.transpose(1, 2),
        scale=float(scale) if scale is not None else query.shape[-1] ** -0.5,
        softcap=float(given.get("softcap") or 0) or None,
        sinks=sinks,
    )


def _limits(given: dict[str, Any]) -> Band:
    return band(bool(given.get("causal", False)), given.get("window_size"))


def _query_and_key(given: dict[str, Any]) -> tuple[Tensor, Tensor]:
    if "qkv" in given:
        return given["qkv"].select(-3, 0), given["qkv"].select(-3, 1)
    if "kv" in given:
        return given["q"], given["kv"].select(-3, 0)
    return given["q"], given["k_cache"] if "k_cache" in given else given["k"]


def _is_set(value: Any) -> bool:
    """Whether an argument says anything: neither None, False, nor 0."""
    return isinstance(value, Tensor) or bool(value)
