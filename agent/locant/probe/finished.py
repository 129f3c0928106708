"""A pass that is over: what must be kept of it, the last thing done on the model's thread."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from locant.probe import families as fam
from locant.probe.alibi import measure, positions_from
from locant.probe.caches import CacheBook, cache_bytes, returned_cache
from locant.probe.call import Call, fit_positions
from locant.probe.capture import UnitCapture
from locant.probe.decode import decode_columns
from locant.probe.masks import kept_tokens
from locant.probe.passes import Pass
from locant.probe.places import places
from locant.probe.references import to_device
from locant.probe.row_inputs import RowInputs
from locant.probe.rows import reduce_rows
from locant.probe.segments import segments_astray, start_flags
from locant.probe.slopes import alibi_slopes
from locant.probe.transfer import Shipment, attention_tensors

_LARGE_MASK = 1 << 14


@dataclass(slots=True)
class Finished:
    """One pass, waiting for the device and for the agent's thread. Made for every pass: what can wait does.

    `inputs`: None for a call without tokens; on the CPU its tensors are copies that are still to be reduced.
    """

    capture: UnitCapture
    state: Pass
    time: float
    error: str
    inputs: RowInputs | None
    shipment: Shipment | None
    growths: tuple[tuple[int, int], ...]
    positional_bytes: int
    cache_bytes: int

    @property
    def ready(self) -> bool:
        """Whether everything has arrived."""
        closed = self.state.closing is None or self.state.closing.ready
        return closed and self.state.stopwatch.ready and (self.shipment is None or self.shipment.arrived)


def finish(capture: UnitCapture, state: Pass, output: Any, book: CacheBook, time: float) -> Finished:
    """Keep what is needed of a pass. Launches device work, waits for none."""
    error = _raised(output)
    returned = returned_cache(output)
    cache = state.call.cache if state.call.cache is not None else returned
    if state.cache_id == 0:
        state.cache_id, state.cache_parent = book.identify(cache)
    elif returned is not state.call.cache:
        book.inherit(returned, state.cache_id)
    if capture.unit.encoder:
        capture.memory.remember(output, state.call.mask)
    with torch.no_grad():
        _keys(capture, state, cache, error)
        inputs = row_inputs(capture, state)
        tensors = _tensors(capture, state, inputs)
    return Finished(
        capture=capture,
        state=state,
        time=time,
        error=error,
        inputs=inputs,
        shipment=Shipment(tensors) if tensors else None,
        growths=capture.growth.look(),
        positional_bytes=capture.growth.bytes,
        cache_bytes=cache_bytes(cache) if cache is not None else 0,
    )


def _keys(capture: UnitCapture, state: Pass, cache: Any, error: str) -> None:
    """A pass that raised may have left half of its keys: they are not read."""
    if error or "keys" in capture.guard.off:
        return
    try:
        capture.keys.read(state, cache)
    except Exception as failure:
        capture.guard.failed("keys", failure)


def _raised(output: Any) -> str:
    """Class name of the exception that is leaving the forward; "" when it returned."""
    kind = sys.exc_info()[0] if output is None else None
    return kind.__name__ if kind is not None else ""


def row_inputs(capture: UnitCapture, state: Pass) -> RowInputs | None:
    """The inputs of the reduction on one device; None for a call without tokens.

    On the CPU the tensors are copies: a caller may write into its buffers as soon as the forward is over. Positions
    that the model made itself need none, and a large mask is not worth one: `_tensors` reduces it at once.
    """
    call = _upright(capture, state)
    if not call.batch or call.device is None:
        return None
    cached = state.cached if state.cached is not None else 0
    positions = fit_positions(_positions(capture, state, cached), call.batch, call.queries)
    device = positions.device if positions is not None and positions.device.type != "cpu" else call.device
    mask = call.mask if call.mask is not None else state.padding_mask
    if mask is not None and mask.shape[0] != 1 and mask.shape[0] != call.batch:
        mask = None
    starts = start_flags(state.segments, call.batch, call.queries) if state.segments is not None else None
    return RowInputs(
        batch=call.batch,
        queries=call.queries,
        device=device,
        ids=_on(call.ids, device),
        positions=positions if call.positions is None else _on(positions, device),
        mask=mask if mask is not None and _reduced_at_once(call.queries, mask, device) else _on(mask, device),
        opaque_mask=call.opaque_mask,
        cached=_on(cached, device) if isinstance(cached, Tensor) else cached,
        token_types=_on(call.token_types, device) if capture.rules.token_types else None,
        starts=_on(starts, device),
    )


def _on(tensor: Tensor | None, device: torch.device) -> Any:
    """A copy on the CPU, the tensor itself elsewhere: there the reduction is launched at once."""
    if tensor is None:
        return None
    if device.type == "cpu":
        return tensor.clone()
    return tensor if tensor.device == device else to_device(tensor, device)


def _reduced_at_once(queries: int, mask: Tensor | None, device: torch.device) -> bool:
    """Away from the CPU always; there only a decode step whose mask is so large that a copy costs more than its sum."""
    return device.type != "cpu" or (queries == 1 and mask is not None and mask.numel() > _LARGE_MASK)


def _upright(capture: UnitCapture, state: Pass) -> Call:
    """Plain torch modules may take [sequence, batch]: the table's rows or the padding mask tell."""
    call = state.call
    if capture.has_config or call.ids is None or call.batch == call.queries:
        return call
    swapped = (call.queries, call.batch)
    by_mask = state.padding_mask is not None and tuple(state.padding_mask.shape) == swapped
    by_mask = by_mask or call.masks_columns
    by_table = state.positions is not None and state.positions.numel() == call.batch and state.positions.dim() < 2
    return call.transposed() if by_mask or by_table else call


def _positions(capture: UnitCapture, state: Pass, cached: int | Tensor) -> Tensor | None:
    """As they reached the table or the rotary module; from an ALiBi bias; else as the caller gave them.

    Falcon builds its rotary module even where ALiBi takes its place: what reaches it then has no effect.
    """
    profile, bias = capture.profile, state.bias
    if state.positions is not None and profile.scheme != fam.ALIBI:
        return state.positions
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


def _tensors(capture: UnitCapture, state: Pass, inputs: RowInputs | None) -> dict[str, Tensor]:
    """What has to travel, by name."""
    named: dict[str, Tensor] = {}
    if inputs is not None and _reduced_at_once(inputs.queries, inputs.mask, inputs.device):
        single = inputs.queries == 1
        named["rows"] = decode_columns(inputs) if single else reduce_rows(inputs, capture.rules)
    if inputs is not None and state.attention_look is not None:
        stands = places(inputs, capture.rules, whole=state.is_whole)
        named |= {"places": stands} if stands is not None else {}
    named |= {name: tensor for name, tensor in _seldom(capture, state, inputs) if tensor is not None}
    if state.rotary:
        named["rotary"] = torch.stack(state.rotary).amax(0)
    if state.hashed:
        named["hash"] = state.hashed[0]
    if state.bias is not None and state.rotary_look is not None and capture.slopes is not None:
        named["bias"] = _bias(capture, state, state.bias, capture.slopes)
    if state.sighting is not None:
        named |= state.sighting.tensors()
    return {**named, **attention_tensors(state.layers)} if state.layers else named


def _seldom(capture: UnitCapture, state: Pass, inputs: RowInputs | None) -> Iterator[tuple[str, Tensor | None]]:
    """What only some families have: an encoder's padding, distance buckets, token types."""
    if capture.masks_memory:
        yield "memory", capture.memory.open_pads(state.call.memory, state.call.memory_mask)
    elif state.open_memory is not None:
        yield "memory", state.open_memory
    if inputs is not None and inputs.token_types is not None:
        yield "segments", segments_astray(inputs, capture.rules, kept_tokens(inputs, capture.rules))
    yield "buckets", state.wrong_buckets


def _bias(capture: UnitCapture, state: Pass, bias: Tensor, slopes: Tensor) -> Tensor:
    kept = state.call.mask != 0 if state.call.mask is not None else None
    slopes = slopes if slopes.device == bias.device else to_device(slopes, bias.device)
    kept = kept if kept is None or kept.device == bias.device else to_device(kept, bias.device)
    state.rotary_dtype = str(bias.dtype).removeprefix("torch.")
    return measure(bias, slopes, capture.steepest, kept)
