"""What a call through transformers' attention interface computes, by the name of its implementation.

As transformers 5 does it: eager adds the mask and nothing else; sdpa is causal from the first key on without a mask;
flash aligns its diagonal with the last key, knows the window and is told the requests of a packed row; flex carries a
mask function.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from locant.probe.attention.alignment import Band, allowing, band, banded, packed_by_lengths, packed_by_starts
from locant.probe.attention.calls import KernelCall


def kernel_call(
    implementation: str,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    mask: Any,
    more: dict[str, Any],
) -> KernelCall | None:
    """The call as its kernel computes it; None for one that cannot be read (paged caches, unknown kernels)."""
    if more.get("cache") is not None or not isinstance(query, Tensor) or query.dim() != 4 or key.dim() != 4:
        return None
    if key.shape[0] != query.shape[0] or query.shape[1] % key.shape[1]:
        return None
    scaling, softcap, bias = more.get("scaling"), more.get("softcap"), more.get("position_bias")
    call = KernelCall(
        query=query,
        key=key,
        scale=float(scaling) if isinstance(scaling, (int, float)) else query.shape[-1] ** -0.5,
        softcap=softcap,
        bias=bias if isinstance(bias, Tensor) and bias.dim() == 4 else None,
        sinks=more.get("s_aux"),
    )
    if implementation.startswith("flash_attention"):
        return _flash(call, module, mask, more)
    if mask is not None and type(mask).__name__ == "BlockMask":
        return replace(call, allows=mask.mask_mod)
    if implementation not in ("eager", "sdpa", "flex_attention") or not _fits(mask, query, key):
        return None
    if implementation == "sdpa" and mask is None and query.shape[2] > 1 and _is_causal(module, more):
        return replace(call, diagonal=0)
    return replace(call, mask=mask)


def _flash(call: KernelCall, module: nn.Module, mask: Any, more: dict[str, Any]) -> KernelCall | None:
    """A 2-D mask hides padding; without one, boundaries or else positions say which requests share the row."""
    if more.get("block_table") is not None or (mask is not None and (not isinstance(mask, Tensor) or mask.dim() != 2)):
        return None
    limits, offset = _limits(call, module, more), call.keys - call.query.shape[2]
    if mask is not None:
        return banded(replace(call, mask=(mask != 0)[:, None, None, -call.keys :]), limits, offset)
    bounds: list[Any] = [more.get(name) for name in ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")]
    positions = more.get("position_ids")
    if all(bound is not None for bound in bounds):
        if call.batch > 1 or offset:
            return None
        return replace(call, allows=allowing(packed_by_lengths(bounds[0], bounds[1], call.keys), limits))
    if positions is None or call.batch > 1 or offset or positions.shape[-1] == 1:
        return banded(call, limits, offset)
    if positions.shape != (1, call.keys):
        return None
    row = packed_by_starts(positions[0] == positions.min())
    return replace(banded(call, limits, 0), allows=lambda b, _, query, key: row.usable(b, query, key))


def _limits(call: KernelCall, module: nn.Module, more: dict[str, Any]) -> Band:
    """transformers hands its window over to both sides, where there are more keys than it."""
    window = more.get("sliding_window")
    side = window - 1 if window is not None and call.keys > window else -1
    return band(_is_causal(module, more), (side, side))


def _is_causal(module: nn.Module, more: dict[str, Any]) -> bool:
    told = more.get("is_causal")
    return bool(told if told is not None else getattr(module, "is_causal", True))


def _fits(mask: Any, query: Tensor, key: Tensor) -> bool:
    if mask is None:
        return True
    if not isinstance(mask, Tensor) or mask.dim() != 4:
        return False
    wanted = (query.shape[0], query.shape[1], query.shape[2])
    broadcasts = all(size in (1, want) for size, want in zip(mask.shape[:3], wanted, strict=True))
    return broadcasts and (mask.shape[3] == 1 or mask.shape[3] >= key.shape[2])
