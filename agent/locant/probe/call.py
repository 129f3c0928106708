"""The arguments of one forward call, found by name whatever the model calls them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

_ROLES = {
    **dict.fromkeys(("input_ids", "decoder_input_ids", "idx", "tokens", "token_ids"), "tokens"),
    **dict.fromkeys(("inputs_embeds", "decoder_inputs_embeds", "input_embeds"), "tokens"),
    **dict.fromkeys(("src", "x", "input", "inputs", "tgt"), "tokens"),
    **dict.fromkeys(("attention_mask", "decoder_attention_mask"), "keep"),
    **dict.fromkeys(("src_key_padding_mask", "tgt_key_padding_mask", "key_padding_mask", "padding_mask"), "hide"),
    **dict.fromkeys(("position_ids", "decoder_position_ids", "positions", "pos", "position_id"), "positions"),
    **dict.fromkeys(("token_type_ids", "segment_ids"), "types"),
    "start_pos": "start",
    "input_pos": "positions",
    "cache_position": "counter",
    "encoder_hidden_states": "memory",
    "encoder_attention_mask": "memory_mask",
    **dict.fromkeys(("past_key_values", "past_key_value", "layer_past", "cache", "kv_cache", "cache_params"), "cache"),
    **dict.fromkeys(("past", "past_kv", "past_kvs", "past_kv_cache", "caches", "kv_caches", "mems"), "cache"),
    **dict.fromkeys(
        ("cu_seq_lens_q", "cu_seqlens", "cu_seqlens_q", "block_table", "block_tables", "seq_idx"), "packed"
    ),
}
"""What the parameters of forward functions are called, and what they are to us."""

_INTEGERS = (torch.int64, torch.int32)


@dataclass
class Call:
    """What a forward was called with; treated as a value.

    Made for every pass: neither frozen nor with slots, so that what was not given costs nothing (`bind` sets the rest).
    `on_host`: the tokens are on the CPU. `mask` is a 2-D mask, non-zero keeps; `opaque_mask` any other (4-D, block, per
    layer type). `numbered`: the caller gave positions; `counted`: it gave something to make them from. `packed`: it
    named the requests' boundaries for the attention kernel. `memory` is an encoder's output to attend to, with its
    mask. `start`: the first position, where the caller gives only that. Without tokens of known shape `batch` is 0.
    """

    batch: int = 0
    queries: int = 0
    device: torch.device | None = None
    on_host: bool = False
    ids: Tensor | None = None
    mask: Tensor | None = None
    mask_rank: int = 0
    opaque_mask: bool = False
    positions: Tensor | None = None
    numbered: bool = False
    counted: bool = False
    token_types: Tensor | None = None
    cache: Any = None
    packed: bool = False
    memory: Any = None
    memory_mask: Any = None
    start: int | None = None

    def transposed(self) -> Call:
        """The same call with tokens [batch, sequence] where the caller gave [sequence, batch].

        A mask that is [batch, sequence] all the same, as torch wants it, stays.
        """
        ids = self.ids.t() if self.ids is not None else None
        mask = self.mask if self.masks_columns else None
        return replace(self, batch=self.queries, queries=self.batch, ids=ids, mask=mask)

    @property
    def masks_columns(self) -> bool:
        """Whether the mask is one for [batch, sequence] beside tokens that are [sequence, batch]."""
        if self.mask is None or self.batch == self.queries:
            return False
        return tuple(self.mask.shape) == (self.queries, self.batch)


def parameter_names(module: nn.Module) -> tuple[str, ...]:
    """Names of a module's forward parameters in order, `self` left out; () when they cannot be told.

    A forward of nothing but `*args` hands them on to the model that it is around.
    """
    try:
        parameters = tuple(inspect.signature(type(module).forward).parameters.values())
    except (TypeError, ValueError):
        return ()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 2 and any(p.kind is p.VAR_POSITIONAL for p in parameters):
        inside = [part for part in module.children() if hasattr(part, "config")] or list(module.children())
        return parameter_names(inside[0]) if len(inside) == 1 else ()
    return tuple(positional[1:])


def takes(names: Sequence[str], role: str) -> bool:
    """Whether a forward with these parameters can be handed something of that role."""
    return any(_ROLES.get(name) == role for name in names)


def bind(names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """The call that `args` and `kwargs` make, given the forward's parameter names. The first of a role counts."""
    call = Call.__new__(Call)
    given: Mapping[str, Any] = {**dict(zip(names, args, strict=False)), **kwargs} if args else kwargs
    for name, value in given.items():
        if value is not None and name in _TAKERS:
            _TAKERS[name](call, value)
    if not call.batch:
        _tokens_by_shape(call, given)
    return call


def _tokens_by_shape(call: Call, given: Mapping[str, Any]) -> None:
    """Where no name says what the tokens are: the first table of integers whose name says nothing."""
    for name, value in given.items():
        if name not in _ROLES and isinstance(value, Tensor) and value.dim() == 2 and value.dtype in _INTEGERS:
            _tokens(call, value)
            return


def _tokens(call: Call, value: Any) -> None:
    if not isinstance(value, Tensor) or call.ids is not None:
        return
    shape = value.shape
    if len(shape) == 2 and not value.is_floating_point():
        if 0 not in shape:
            call.ids = value
            _size(call, value, shape)
    elif len(shape) == 3 and value.is_floating_point() and not call.batch and 0 not in shape:
        _size(call, value, shape)


def _size(call: Call, tokens: Tensor, shape: torch.Size) -> None:
    call.batch, call.queries = shape[0], shape[1]
    call.device, call.on_host = tokens.device, tokens.is_cpu


def _keep(call: Call, value: Any) -> None:
    rank = value.dim() if isinstance(value, Tensor) else 0
    call.mask_rank = rank or 4
    call.mask, call.opaque_mask = (value, False) if rank == 2 else (None, True)


def _hide(call: Call, value: Any) -> None:
    if isinstance(value, Tensor) and value.dim() == 2 and call.mask is None:
        call.mask, call.mask_rank = keep_mask(value), 2


def _places(call: Call, value: Any) -> None:
    if isinstance(value, Tensor) and value.dim() in (1, 2, 3) and not value.is_floating_point():
        call.positions, call.numbered = value, True


def _counter(call: Call, value: Any) -> None:
    call.counted = True


def _types(call: Call, value: Any) -> None:
    if isinstance(value, Tensor) and value.dim() == 2 and not value.is_floating_point():
        call.token_types = value


def _cache(call: Call, value: Any) -> None:
    if call.cache is None:
        call.cache = value


def _memory(call: Call, value: Any) -> None:
    call.memory = value


def _memory_mask(call: Call, value: Any) -> None:
    call.memory_mask = value


def _start(call: Call, value: Any) -> None:
    if isinstance(value, int) and not isinstance(value, bool):
        call.start = value


def _packed(call: Call, value: Any) -> None:
    call.packed = True


_TAKE: dict[str, Callable[[Call, Any], None]] = {
    "tokens": _tokens,
    "keep": _keep,
    "hide": _hide,
    "positions": _places,
    "counter": _counter,
    "types": _types,
    "cache": _cache,
    "packed": _packed,
    "memory": _memory,
    "start": _start,
    "memory_mask": _memory_mask,
}
_TAKERS = {name: _TAKE[role] for name, role in _ROLES.items()}


def keep_mask(padding: Tensor) -> Tensor:
    """torch's key padding mask (True, or minus infinity, is padding) turned into one that keeps where True."""
    return ~padding if padding.dtype == torch.bool else padding == 0


def fit_positions(positions: Tensor | None, batch: int, queries: int) -> Tensor | None:
    """Positions as [1|B, Q] or [axes, 1|B, Q]; None when their shape says something else."""
    if positions is None or not positions.numel():
        return None
    if positions.shape == (queries, batch) and batch != queries:
        return positions.t()  # asked for inside a model that turned its tokens
    if positions.shape[-1] != queries:
        flat = positions.numel() in (queries, batch * queries) and positions.dim() <= 2
        return positions.reshape(-1, queries) if flat else None
    if positions.dim() == 1:
        return positions[None]
    return positions if positions.dim() in (2, 3) and positions.shape[-2] in (1, batch) else None
