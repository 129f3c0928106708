"""What a call of a torch function computes, if it is attention over this pass's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from locant.probe.attention.calls import Attention, KernelCall, ScoredCall
from locant.probe.attention.contract import PassContext
from locant.probe.attention.flash import flash_call
from locant.probe.attention.flex import flex_call
from locant.probe.attention.kernels import FLASH, FLEX
from locant.probe.attention.met import TURNED, Met
from locant.probe.attention.shards import on_this_rank
from locant.probe.attention.unpadded import turned


def function_call(
    name: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    context: PassContext,
    heads: int,
    *,
    columns: bool = False,
) -> Met | None:
    """The attention that this call computes; None for every other use of the function.

    `columns`: the model may have been given its tokens as [sequence, batch], which a context cannot tell.
    """
    values = on_this_rank([*args, *kwargs.values()])
    if values is None:
        return None
    args, kwargs = values[: len(args)], dict(zip(kwargs, values[len(args) :], strict=True))
    if name in FLASH:
        return flash_call(kwargs, context)
    found = _torch_call(name, args, kwargs, context, heads)
    if found is not None:
        return Met(found, context)
    other = turned(context) if columns else None
    found = _torch_call(name, args, kwargs, other, heads) if other is not None else None
    return Met(found, other, TURNED) if found is not None and other is not None else None


def _torch_call(
    name: str, args: Sequence[Any], kwargs: dict[str, Any], context: PassContext, heads: int
) -> Attention | None:
    if name == FLEX:
        found: Attention | None = flex_call(kwargs, context)
    elif name == "scaled_dot_product_attention":
        found = _sdpa(context, *args, **kwargs)
    elif name == "softmax":
        found = _softmax(context, heads, *args, **kwargs)
    elif name == "_native_multi_head_attention":
        found = _native_attention(context, args)
    else:
        found = _encoder_layer(context, args)
    return found if found is not None and found.batch == context.batch else None


def _sdpa(
    context: PassContext,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> KernelCall | None:
    if query.dim() != 4 or query.is_nested or query.shape[2] != context.queries or key.shape[2] < context.queries:
        return None
    if query.shape[1] % key.shape[1]:
        return None
    return KernelCall(
        query=query,
        key=key,
        scale=scale if scale is not None else query.shape[-1] ** -0.5,
        mask=_four(attn_mask, query),
        diagonal=0 if is_causal else None,
    )


def _softmax(
    context: PassContext, heads: int, input: Tensor, dim: int | None = None, *_: Any, **__: Any
) -> ScoredCall | None:
    if not isinstance(input, Tensor) or not input.is_floating_point() or input.is_nested or input.dim() not in (3, 4):
        return None
    if dim not in (-1, input.dim() - 1) or input.shape[-2] != context.queries or input.shape[-1] < context.queries:
        return None
    if input.dim() == 3:
        if heads < 1 or input.shape[0] != context.batch * heads:
            return None
        input = input.view(context.batch, heads, *input.shape[1:])
    return ScoredCall(input) if input.shape[0] == context.batch and heads in (0, input.shape[1]) else None


def _native_attention(context: PassContext, args: Sequence[Any]) -> KernelCall | None:
    """Self-attention by `nn.MultiheadAttention`'s fast path: (query, key, value, width, heads, weight, bias, ...)."""
    if len(args) < 10:
        return None
    return _projected(context, args[0], args[4], args[5], args[6], args[9], args[12] if len(args) > 12 else None)


def _encoder_layer(context: PassContext, args: Sequence[Any]) -> KernelCall | None:
    """Self-attention inside `nn.TransformerEncoderLayer`'s fast path."""
    if len(args) < 20:
        return None
    tokens, width, norm_first, eps = args[0], args[1], args[8], args[9]
    if norm_first:
        tokens = functional.layer_norm(tokens, (width,), args[10], args[11], eps)
    return _projected(context, tokens, args[2], args[3], args[4], args[18], args[19])


def _projected(
    context: PassContext,
    tokens: Tensor,
    heads: int,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    mask_type: int | None,
) -> KernelCall | None:
    """Queries and keys from the packed projection; the fast paths hide where a mask is not 0."""
    hidden = mask if mask is None or mask.dtype == torch.bool else mask != 0
    keep = None if hidden is None else ~hidden
    if keep is not None and mask_type == 1:
        keep = keep[:, None, None]
    if tokens.is_nested:
        lengths = tokens._nested_tensor_size()[:, 0].to(tokens.device, non_blocking=True)
        width = weight.shape[1]
        tokens = tokens.to_padded_tensor(0.0, (context.batch, context.queries, width))
        keep = (torch.arange(context.queries, device=tokens.device) < lengths[:, None])[:, None, None]
    if tokens.dim() != 3 or tokens.shape[:2] != (context.batch, context.queries):
        return None
    width = tokens.shape[2]
    both = functional.linear(tokens, weight[: 2 * width], bias[: 2 * width] if bias is not None else None)
    parts = both.view(*both.shape[:2], 2, heads, width // heads).permute(2, 0, 3, 1, 4)
    return KernelCall(parts[0], parts[1], (width // heads) ** -0.5, mask=_four(keep, parts[0]))


def _four(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """A mask as [B | 1, H | 1, Q | 1, K]."""
    if mask is None or mask.dim() == 4:
        return mask
    if mask.dim() == 2:
        return mask[None, None]
    if mask.shape[0] == query.shape[0] * query.shape[1]:
        return mask.view(query.shape[0], query.shape[1], *mask.shape[1:])
    return mask[:, None] if mask.shape[0] == query.shape[0] else mask[None]
