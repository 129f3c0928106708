"""The pass as its kernels see it, where its shape says otherwise: a row of requests, or sequences in columns."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from locant.probe.attention.contract import PassContext


def packed_context(context: PassContext, tokens: int, device: torch.device) -> PassContext | None:
    """The context of one row of `tokens` tokens; the pass's own where that is such a row. None: they are not its own.

    A batch is laid end to end with its padding, or without it: then its real tokens stay, in their order. Whether they
    are as many as the row has, only the device knows; where they are not, nobody knows whose a token is.
    """
    if isinstance(context.cached, Tensor) or context.cached:
        return None
    padded = context.batch * context.queries
    if context.batch == 1 and tokens == padded:
        return context
    one = replace(context, batch=1, queries=tokens, key_padding=None, query_real=None, cached=None)
    context = context.on(device)
    owner = _owners(context, device)
    if tokens == padded:
        return replace(one, key_request=owner[None], query_real=_flat(context.query_real, context))
    flat = _flat(context.query_real, context)
    if flat is None or tokens > padded:
        return None
    real = flat[0]
    order = (~real).to(torch.uint8).argsort(stable=True)[:tokens]
    return replace(one, key_request=torch.where(real.sum() == tokens, owner[order], -1)[None])


def turned(context: PassContext) -> PassContext | None:
    """The context of tokens that are [sequence, batch]; None where that is the same, or a cache may be in use."""
    if context.batch == context.queries or isinstance(context.cached, Tensor) or context.cached:
        return None
    shape = (context.batch, context.queries)
    pads, request, real = (
        known.t() if known is not None and known.shape == shape else None
        for known in (context.key_padding, context.key_request, context.query_real)
    )
    return replace(
        context,
        batch=context.queries,
        queries=context.batch,
        key_padding=pads,
        key_request=request,
        query_real=real,
    )


def _owners(context: PassContext, device: torch.device) -> Tensor:
    """A number for the request of every token of the batch, int64 [B * Q]."""
    row = torch.arange(context.batch, device=device)[:, None] * (context.queries + 1)
    requests = context.key_request if context.key_request is not None else torch.zeros_like(row)
    return (row + requests).expand(context.batch, context.queries).flatten()


def _flat(known: Tensor | None, context: PassContext) -> Tensor | None:
    return None if known is None else known.expand(context.batch, context.queries).reshape(1, -1)
