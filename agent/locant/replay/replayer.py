"""Computes a request again: alone, shifted, beside a neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from locant.observation import ModelProfile
from locant.probe.exclude import excluded
from locant.replay.options import ReplayOptions
from locant.replay.outputs import answer_of
from locant.replay.sample import Request
from locant_slo.errors import ModelError

ALONE, SHIFTED, NEIGHBOUR = "alone", "shifted", "neighbour"
_FARTHEST = 4096
_NEAREST = 16
_PADS = 17
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Target:
    """The watched module and what its forward takes."""

    module: nn.Module
    profile: ModelProfile
    takes: frozenset[str]
    vocabulary_size: int

    def room(self, tokens: int) -> int:
        """Positions left beyond a request of this many tokens."""
        limits = (self.profile.trained_tokens, self.profile.table_rows)
        rows = [limit for limit in limits if limit is not None]
        return min(rows) - self.profile.base - tokens if rows else _FARTHEST


Compared = tuple[str, Tensor, Tensor, int]
"""Kind, first and second answers [n, D], and the shift."""


def replays(request: Request, target: Target, options: ReplayOptions, idle: Callable[[], bool]) -> Iterator[Compared]:
    """Each kind that applies, one pass at a time and only while `idle`; nothing when the answer would be too large."""
    tokens = request.ids.shape[1]
    if "logits_to_keep" not in target.takes and _FLOAT_BYTES * tokens * target.vocabulary_size > options.most_bytes:
        return
    if not idle():
        return
    alone = _run(target, request, request.ids)
    yield ALONE, request.answers.to(alone.device), alone, 0
    shift = min(target.room(tokens), _FARTHEST) if _can_shift(target) else 0
    if shift >= _NEAREST and idle():
        positions = torch.arange(shift, shift + tokens, device=request.ids.device)[None]
        yield SHIFTED, alone, _run(target, request, request.ids, positions=positions), shift
    pads = min(target.room(tokens), _PADS) if _can_pad(target) else 0
    if pads > 0 and idle():
        yield NEIGHBOUR, alone, _beside(target, request, pads), 0


def _can_shift(target: Target) -> bool:
    return target.profile.scheme == "rope" and "position_ids" in target.takes


def _can_pad(target: Target) -> bool:
    """Whether a padded row means the same: the mask must be taken, and positions made from it or not matter."""
    profile = target.profile
    if profile.pad_id is None or "attention_mask" not in target.takes:
        return False
    relative = not profile.absolute and profile.scheme != "unknown"
    return profile.kind == "encoder" or relative or ("position_ids" in target.takes and profile.base == 0)


def _beside(target: Target, request: Request, pads: int) -> Tensor:
    """The request padded beside a longer row made of its own tokens: decoders on the left, encoders on the right."""
    ids, left = request.ids, target.profile.kind == "decoder"
    filler = torch.full((1, pads), target.profile.pad_id or 0, dtype=ids.dtype, device=ids.device)
    mate = ids.repeat(1, 1 + pads // ids.shape[1] + 1)[:, : ids.shape[1] + pads]
    row = torch.cat([filler, ids] if left else [ids, filler], 1)
    ones, zeros = torch.ones_like(ids), torch.zeros_like(filler)
    mask = torch.cat([torch.cat([zeros, ones] if left else [ones, zeros], 1), torch.ones_like(mate)])
    positions = None
    if left and target.profile.scheme != "alibi" and "position_ids" in target.takes and target.profile.base == 0:
        positions = (mask.cumsum(1) - 1).clamp_min(0)
    return _run(target, request, torch.cat([row, mate]), mask=mask, positions=positions, before=pads if left else 0)


def _run(
    target: Target,
    request: Request,
    ids: Tensor,
    *,
    mask: Tensor | None = None,
    positions: Tensor | None = None,
    before: int = 0,
) -> Tensor:
    """The answers [n, D] of row 0 at the compared tokens, which stand `before` columns further."""
    sample, wanted = request.sample, [column + before for column in request.compared]
    arguments: dict[str, Any] = {**sample.flags, sample.names["tokens"]: ids}
    offset = 0
    if "attention_mask" in target.takes:
        arguments["attention_mask"] = mask if mask is not None else torch.ones_like(ids)
    if positions is not None:
        arguments["position_ids"] = positions
    if request.types is not None:
        arguments[sample.names["types"]] = _types(request.types, ids, before)
    if "use_cache" in target.takes:
        arguments["use_cache"] = False
    if "logits_to_keep" in target.takes and sample.by_token:
        arguments["logits_to_keep"] = ids.shape[1] - wanted[0]
        offset = wanted[0]
    answer = answer_of(_call(target, arguments, sample.autocast, ids.device), len(ids), target.vocabulary_size)
    if answer is None or answer.quantity != sample.quantity or answer.by_token != sample.by_token:
        raise ModelError("a replay was answered in another form than the live pass")
    if answer.by_token and answer.columns() == ids.shape[1]:
        offset = 0
    return answer.at(0, torch.tensor([column - offset for column in wanted], device=answer.parts[0].device))


def _types(types: Tensor, ids: Tensor, before: int) -> Tensor:
    """Segment ids of row 0 in their place, zeros elsewhere."""
    result = torch.zeros_like(ids, dtype=types.dtype)
    result[0, before : before + types.shape[1]] = types[0]
    return result


def _call(target: Target, arguments: Mapping[str, Any], autocast: torch.dtype | None, device: torch.device) -> Any:
    with torch.no_grad(), excluded(), torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
        return target.module(**arguments)
