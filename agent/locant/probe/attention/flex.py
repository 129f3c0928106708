"""What a call of FlexAttention computes. Its functions are run on sampled rows the way FlexAttention runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from locant.probe.attention.calls import Attention, KernelCall
from locant.probe.attention.contract import PassContext
from locant.probe.attention.shaped import Places, ShapedCall

_LEVELS = ((None, None, None, 0), (None, 0, None, None), (None, None, 0, None), (0, None, 0, None))
"""What is mapped over, from the inside: keys, heads, the rows of a sequence, sequences with their rows."""


class UnreadableError(Exception):
    """A function of the model's that FlexAttention's kernel can run, but that cannot be run on single rows."""


def flex_call(given: dict[str, Any], context: PassContext) -> Attention | None:
    """Self-attention by `flex_attention`; None for anything else, and where blocks alone say what is hidden."""
    query, key, block_mask = given["query"], given["key"], given.get("block_mask")
    if query.dim() != 4 or query.shape[2] != context.queries or key.shape[2] < context.queries:
        return None
    if query.shape[1] % key.shape[1] or key.shape[0] not in (1, query.shape[0]):
        return None
    allowing = getattr(block_mask, "mask_mod", None)
    if getattr(allowing, "__name__", "") == "noop_mask":
        return None
    scale, changing = given.get("scale"), given.get("score_mod")
    plain = KernelCall(
        query=query,
        key=key.expand(query.shape[0], -1, -1, -1),
        scale=scale if scale is not None else query.shape[-1] ** -0.5,
    )
    return ShapedCall(
        plain,
        change=None if changing is None else lambda scores, places: _mapped(changing, places, scores),
        allows=None if allowing is None else lambda places: _mapped(allowing, _fewer_heads(places, block_mask)),
    )


def _fewer_heads(places: Places, block_mask: Any) -> Places:
    """The same for one head, where the mask is one for all of them."""
    heads = places.heads if block_mask.shape[1] > 1 else torch.zeros_like(places.heads[:1])
    return Places(places.sequences, heads, places.queries, places.keys)


def _mapped(function: Callable[..., Tensor], places: Places, scores: Tensor | None = None) -> Tensor:
    """`function(score, b, h, q, k)`, which is written for single numbers, for all places: [N, R, H, C].

    Indexing by such a number, as in `table[b][q]`, needs the mode in which FlexAttention runs these functions.
    """
    from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

    for level in _LEVELS:
        function = torch.vmap(function, in_dims=level if scores is None else (0, *level))
    indices = (
        places.sequences[:, 0, 0, 0],
        places.heads[:, 0],
        places.queries[:, :, 0, 0],
        places.keys,
    )
    try:
        with TransformGetItemToIndex():
            return function(*indices) if scores is None else function(scores, *indices)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise UnreadableError(f"A function of FlexAttention cannot be run on sampled rows: {error}") from error
