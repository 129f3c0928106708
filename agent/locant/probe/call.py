"""The arguments of one forward call, found by name whatever the model calls them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

_IDS = ("input_ids", "decoder_input_ids", "idx", "tokens", "token_ids", "src", "x", "input", "inputs")
_EMBEDDINGS = ("inputs_embeds", "decoder_inputs_embeds", "input_embeds", "src", "x", "input", "inputs")
_KEEP_MASKS = ("attention_mask", "decoder_attention_mask")
_PAD_MASKS = ("src_key_padding_mask", "tgt_key_padding_mask", "key_padding_mask", "padding_mask", "src_padding_mask")
_POSITIONS = ("position_ids", "decoder_position_ids", "positions", "pos", "position_id")
_TYPES = ("token_type_ids", "segment_ids")
_CACHES = ("past_key_values", "past_key_value", "layer_past", "cache", "kv_cache", "cache_params")
_BOUNDARIES = ("cu_seq_lens_q", "cu_seqlens", "cu_seqlens_q", "cu_seq_lens_k", "block_table", "block_tables", "seq_idx")


@dataclass(frozen=True, slots=True)
class Call:
    """What a forward was called with. Tensors are the caller's own.

    `mask` is a 2-D mask, non-zero keeps; `opaque_mask` any other mask (4-D, block, per layer type). `packed`: the caller
    named the boundaries of requests for the attention kernel. Without tokens or embeddings of known shape `batch` is 0.
    """

    batch: int = 0
    queries: int = 0
    device: torch.device | None = None
    ids: Tensor | None = None
    mask: Tensor | None = None
    mask_rank: int = 0
    opaque_mask: bool = False
    positions: Tensor | None = None
    token_types: Tensor | None = None
    cache: Any = None
    packed: bool = False

    def transposed(self) -> Call:
        """The same call with tokens [batch, sequence] where the caller gave [sequence, batch]."""
        ids = self.ids.t() if self.ids is not None else None
        return replace(self, batch=self.queries, queries=self.batch, ids=ids, mask=None)


def parameter_names(module: nn.Module) -> tuple[str, ...]:
    """Names of a module's forward parameters in order, `self` left out; () when they cannot be told."""
    try:
        parameters = inspect.signature(type(module).forward).parameters.values()
    except (TypeError, ValueError):
        return ()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(positional[1:])


def takes_cache(names: Sequence[str]) -> bool:
    """Whether a forward with these parameters can be handed a cache."""
    return any(name in _CACHES for name in names)


def bind(names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """The call that `args` and `kwargs` make, given the forward's parameter names."""
    given: Mapping[str, Any] = {**dict(zip(names, args, strict=False)), **kwargs} if args else kwargs
    ids = _tensor(given, _IDS, integral=True)
    shape = _shape(given, ids)
    if shape is None:
        return Call()
    mask, rank, opaque = _mask(given)
    return Call(
        batch=shape[0],
        queries=shape[1],
        device=shape[2],
        ids=ids,
        mask=mask,
        mask_rank=rank,
        opaque_mask=opaque,
        positions=_tensor(given, _POSITIONS, integral=True, ranks=(1, 2, 3)),
        token_types=_tensor(given, _TYPES, integral=True),
        cache=next((given[name] for name in _CACHES if given.get(name) is not None), None),
        packed=any(given.get(name) is not None for name in _BOUNDARIES),
    )


def _tensor(
    given: Mapping[str, Any], names: Sequence[str], *, integral: bool, ranks: tuple[int, ...] = (2,)
) -> Tensor | None:
    for name in names:
        value = given.get(name)
        if isinstance(value, Tensor) and value.dim() in ranks and value.is_floating_point() is not integral:
            return value
    return None


def _shape(given: Mapping[str, Any], ids: Tensor | None) -> tuple[int, int, torch.device] | None:
    like = ids if ids is not None else _tensor(given, _EMBEDDINGS, integral=False, ranks=(3,))
    return (like.shape[0], like.shape[1], like.device) if like is not None and like.numel() else None


def _mask(given: Mapping[str, Any]) -> tuple[Tensor | None, int, bool]:
    """(2-D mask that keeps where non-zero, rank of the mask given, whether some other mask was given)."""
    for name in _KEEP_MASKS:
        value = given.get(name)
        if isinstance(value, Tensor):
            flat = value.dim() == 2
            return (value if flat else None), value.dim(), not flat
        if value is not None:
            return None, 4, True
    for name in _PAD_MASKS:
        value = given.get(name)
        if isinstance(value, Tensor) and value.dim() == 2:
            return keep_mask(value), 2, False
    return None, 0, False


def keep_mask(padding: Tensor) -> Tensor:
    """torch's key padding mask (True, or minus infinity, is padding) turned into one that keeps where True."""
    return ~padding if padding.dtype == torch.bool else padding == 0


def fit_positions(positions: Tensor | None, batch: int, queries: int) -> Tensor | None:
    """Positions as [1|B, Q] or [axes, 1|B, Q]; None when their shape says something else."""
    if positions is None or positions.shape[-1:] != (queries,):
        flat = positions is not None and positions.numel() in (queries, batch * queries) and positions.dim() <= 2
        return positions.reshape(-1, queries) if positions is not None and flat else None
    if positions.dim() == 1:
        return positions[None]
    return positions if positions.dim() in (2, 3) and positions.shape[-2] in (1, batch) else None
