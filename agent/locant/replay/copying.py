"""What is copied of one row in a live pass, without waiting for its device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from locant.probe.caches import returned_cache
from locant.probe.call import Call, fit_positions
from locant.replay.outputs import Answer
from locant.replay.sample import Sample, Step


def step_of(
    call: Call, answer: Answer, row: int, *, tail: bool, cached: int | Tensor = 0, moved: Tensor | None = None
) -> Step:
    """Copies of one row. `tail`: the answer of the last column, else of the last one that the mask keeps."""
    assert call.ids is not None
    mask = call.mask[min(row, len(call.mask) - 1)].detach().clone() if call.mask is not None else None
    positions = fit_positions(call.positions, call.batch, call.queries)
    if positions is not None and positions.dim() == 3:
        positions = positions[0]
    return Step(
        ids=call.ids[row].detach().clone(),
        output=answer.at(row, _last(answer, None if tail else mask)).clone(),
        mask=mask,
        types=call.token_types[row].detach().clone() if call.token_types is not None else None,
        positions=positions[min(row, len(positions) - 1)].detach().clone() if positions is not None else None,
        cached=cached,
        moved=moved,
    )


def _last(answer: Answer, mask: Tensor | None) -> Tensor:
    """Index [1] of the last column, or of the last kept one; the device finds it by itself."""
    device = answer.parts[0].device
    if mask is None:
        return torch.full((1,), max(answer.columns() - 1, 0), device=device)
    kept = mask.to(device).ne(0)
    return (kept * torch.arange(len(kept), device=device)).argmax().reshape(1)


def cache_of(call: Call, result: Any) -> Any:
    """The cache that the next pass will be given, if it can be recognised then."""
    cache = call.cache if call.cache is not None else returned_cache(result)
    return cache if hasattr(cache, "get_seq_length") else None


def last_keys(cache: Any) -> Tensor | None:
    """Keys [B, heads, tokens, D] of the last layer: they depend on all tokens before."""
    layers = getattr(cache, "layers", None)
    keys = getattr(layers[-1], "keys", None) if layers is not None and len(layers) else None
    return keys if isinstance(keys, Tensor) and keys.dim() == 4 and keys.numel() else None


def newest_key(cache: Any, row: int) -> Tensor | None:
    keys = last_keys(cache)
    return keys[row, :, -1].detach().clone() if keys is not None and row < len(keys) else None


def moved_since(sample: Sample, cache: Any) -> Tensor | None:
    """Whether the row's newest key is another one than it was left with: an engine may let rows change places."""
    newest = newest_key(cache, sample.row)
    if newest is None or sample.newest_key is None or newest.shape != sample.newest_key.shape:
        return None
    return (newest != sample.newest_key).any()


def autocast_of(device: torch.device | None) -> torch.dtype | None:
    kind = device.type if device is not None else "cpu"
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def versions(module: nn.Module) -> int:
    """Changes with every write to the weights."""
    return sum(0 if parameter.is_inference() else parameter._version for parameter in module.parameters())
