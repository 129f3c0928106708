"""What the facts of a pass are made from, taken on the model's thread: as it is, to be reduced where it arrives.

Small tensors travel raw, since one copy is less than the thirty operations that reduce them. On the CPU they are
copies: a caller may write into its buffers as soon as the forward is over. What is large is reduced at once, where it
lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from locant.probe import families as fam
from locant.probe.alibi import positions_from
from locant.probe.axes import one_for_each_row
from locant.probe.call import Call, fit_positions
from locant.probe.masks import split_mask
from locant.probe.passes import Pass
from locant.probe.references import to_device
from locant.probe.row_inputs import RowInputs
from locant.probe.segments import start_flags
from locant.probe.slopes import alibi_slopes

if TYPE_CHECKING:
    from locant.probe.capture import UnitCapture

LARGE_MASK = 1 << 14
"""A copy of so many numbers takes longer than a sum over them."""
_DEVICE_BYTES = 1 << 16
"""So much may cross from a device for one pass."""


def gather(capture: UnitCapture, state: Pass) -> dict[str, Tensor]:
    """The tensors that rows are made from, by name: ids, mask, positions, types; cached where the device counts.

    Instead of a large mask of a decode step `kept` and `before`, see `RowInputs.split`. Positions that the model made
    itself are nobody's to write into, and are no copies.
    """
    given = call = state.call
    found: dict[str, Tensor] = {}
    if not call.batch:
        return found
    if not capture.has_config:
        capture.axes.learn(call, state.layers)
        call = state.call = capture.axes.upright(call, state.positions, state.padding_mask)
    if call.ids is not None:
        found["ids"] = _own(call.ids)
    if call.mask is not None or state.padding_mask is not None:
        found |= _mask(call, state)
    positions = _placed(capture, given, state)
    if positions is not None:
        found["positions"] = _own(positions) if call.numbered or call.counted else positions
    if call.token_types is not None and capture.rules.token_types:
        found["types"] = _own(call.token_types)
    if isinstance(state.cached, Tensor):
        found["cached"] = state.cached
    return found


def _mask(call: Call, state: Pass) -> dict[str, Tensor]:
    """The caller's mask, else the one that arrived at torch's own stack; of a large one what matters."""
    mask = call.mask
    if mask is None:
        assert state.padding_mask is not None
        mask, call.mask_rank = state.padding_mask, call.mask_rank or 2
    rows, columns = mask.shape
    if rows not in (1, call.batch):
        return {}
    if call.queries == 1 and rows * columns > LARGE_MASK:
        return _split(call, mask, state.cached)
    return {"mask": _own(mask)}


def travels_raw(call: Call, found: Mapping[str, Tensor]) -> bool:
    """Whether these are reduced only when they have arrived."""
    elsewhere = [tensor for tensor in found.values() if not tensor.is_cpu]
    if not elsewhere:
        return True
    if not all(tensor.is_cuda for tensor in elsewhere):
        return False
    return call.queries == 1 or sum(tensor.nbytes for tensor in elsewhere) <= _DEVICE_BYTES


def row_inputs(state: Pass, found: Mapping[str, Tensor]) -> RowInputs | None:
    """The inputs of the reduction on one device; None for a call without tokens."""
    call = state.call
    if not call.batch:
        return None
    positions = fit_positions(found.get("positions"), call.batch, call.queries)
    known = (positions, *found.values())
    device = next((t.device for t in known if t is not None and not t.is_cpu), torch.device("cpu"))
    there = {name: to_device(t, device) if t.device != device else t for name, t in found.items()}
    starts = start_flags(state.segments, call.batch, call.queries) if state.segments is not None else None
    return RowInputs(
        batch=call.batch,
        queries=call.queries,
        device=device,
        ids=there.get("ids"),
        positions=to_device(positions, device) if positions is not None and positions.device != device else positions,
        mask=there.get("mask"),
        split=(there["kept"], there["before"]) if "kept" in there else None,
        opaque_mask=call.opaque_mask,
        cached=_count(there.get("cached", state.cached)),
        token_types=there.get("types"),
        starts=starts if starts is None or device.type == "cpu" else to_device(starts, device),
    )


def _count(cached: int | Tensor | None) -> int | Tensor:
    """An int wherever that takes no waiting."""
    if isinstance(cached, Tensor):
        return int(cached) if cached.is_cpu else cached
    return cached or 0


def _own(tensor: Tensor) -> Tensor:
    """A copy on the CPU, the tensor itself elsewhere: there what is made of it is launched at once."""
    return tensor.clone() if tensor.is_cpu else tensor


def _split(call: Call, mask: Tensor, cached: int | Tensor | None) -> dict[str, Tensor]:
    there = RowInputs(call.batch, call.queries, mask.device, mask=mask, cached=cached if cached is not None else 0)
    split = split_mask(there)
    return {"kept": split[0], "before": split[1]} if split is not None else {}


def _placed(capture: UnitCapture, given: Call, state: Pass) -> Tensor | None:
    """Positions beside the tokens of `state.call`, and whether they contradict what attention takes for a sequence."""
    positions, call, axes = _positions(capture, state), state.call, capture.axes
    if positions is None or call.queries == 1:
        return positions
    if capture.has_config:
        return one_for_each_row(positions, call) if positions.dim() == 2 else positions
    if positions is not given.positions:
        positions = axes.placed(given, positions)
    if axes.down is False and call.batch != call.queries:
        positions = one_for_each_row(positions, call)
    state.across = call is given and axes.across(call, positions)
    return positions


def _positions(capture: UnitCapture, state: Pass) -> Tensor | None:
    """As they reached the table or the rotary module; from an ALiBi bias; else as the caller gave them.

    Falcon builds its rotary module even where ALiBi takes its place: what reaches it then has no effect.
    """
    profile, bias = capture.profile, state.bias
    if state.positions is not None and profile.scheme != fam.ALIBI:
        return state.positions
    cached = state.cached if state.cached is not None else 0
    if bias is not None and profile.family in fam.COUNTING_ALIBI:
        slope = alibi_slopes(profile.heads)[capture.steepest]
        return positions_from(bias, slope, capture.steepest, cached, state.call.queries)
    if profile.scheme in (fam.ALIBI, fam.RELATIVE, fam.NONE):
        return None
    call = state.call
    if call.positions is None and capture.takes_start and profile.scheme == fam.ROPE:
        start = 0 if call.start is None and isinstance(cached, int) and cached == 0 else call.start
        return torch.arange(start, start + call.queries, device=call.device)[None] if start is not None else None
    return call.positions
