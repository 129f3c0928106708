"""A pass that is over, turned into what waits for the device: the last thing done on the model's thread."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from locant.observation import ForwardFacts
from locant.probe import families as fam
from locant.probe.alibi import measure, positions_from
from locant.probe.caches import CacheBook, cache_bytes
from locant.probe.call import Call, fit_positions
from locant.probe.capture import UnitCapture
from locant.probe.passes import Pass
from locant.probe.pending import Pending, attention_tensors, launch
from locant.probe.references import to_device
from locant.probe.rows import RowInputs, RowRules
from locant.probe.segments import start_flags
from locant.probe.slopes import alibi_slopes
from locant.probe.transfer import Shipment


def assemble(
    capture: UnitCapture,
    state: Pass,
    output: Any,
    book: CacheBook,
    *,
    model_id: int,
    time: float,
    clear_ids: bool,
    peak: int,
) -> Pending:
    """Everything known of the pass. Launches device work, waits for none."""
    call, rules = state.call, capture.rules
    error = _raised(output)
    cache = call.cache if call.cache is not None else _returned_cache(output)
    if state.cache_id == 0:
        state.cache_id, state.cache_parent = book.identify(cache)
    else:
        book.inherit(_returned_cache(output), state.cache_id)
    with torch.no_grad():
        inputs = row_inputs(capture, state)
        tensors, waiting = launch(inputs, rules) if inputs is not None else ({}, None)
        tensors |= _rotary_tensors(capture, state, inputs)
        tensors |= attention_tensors(state.layers)
    growths = capture.growth.look()
    return Pending(
        facts=ForwardFacts(
            model_id=model_id,
            time=time,
            pass_number=state.number,
            phase=state.phase,
            duration_seconds=0.0,
            queries=inputs.queries if inputs is not None else call.queries,
            rows=(),
            cache_id=state.cache_id,
            cache_parent=state.cache_parent,
            masked=inputs is not None and inputs.mask is not None,
            mask_rank=call.mask_rank or (2 if state.padding_mask is not None else 0),
            positions_given=call.positions is not None,
            highest_planned_position=_planned(state, rules),
            table_growths=growths,
            positional_bytes=capture.growth.bytes,
            cache_bytes=cache_bytes(cache) if cache is not None else 0,
            peak_device_bytes=peak,
            error=error,
            declared=state.segments is not None,
            packed=call.packed,
            request_ids=state.request_ids if clear_ids else tuple(_hashed(state.request_ids, rules.salt)),
            seen=tuple(_seen(capture, state, inputs)),
            trace_id=state.trace[0],
            span_id=state.trace[1],
        ),
        stopwatch=state.stopwatch,
        shipment=Shipment(tensors),
        rules=rules,
        inputs=waiting,
        single=inputs is not None and inputs.queries == 1,
        ids=inputs is not None and inputs.ids is not None,
        opaque=inputs is not None and inputs.opaque_mask,
        declared=state.segments is not None,
        rotary_dtype=state.rotary_dtype,
        alibi=state.bias is not None,
        layers=tuple(state.layers),
    )


def _raised(output: Any) -> str:
    """Class name of the exception that is leaving the forward; "" when it returned."""
    kind = sys.exc_info()[0] if output is None else None
    return kind.__name__ if kind is not None else ""


def _returned_cache(output: Any) -> Any:
    found = getattr(output, "past_key_values", None)
    if found is None and isinstance(output, (tuple, list)):
        found = next((item for item in output if hasattr(item, "get_seq_length")), None)
    return found


def _planned(state: Pass, rules: RowRules) -> int | None:
    if not isinstance(state.cached, int) or not state.call.queries:
        return None
    return state.cached + state.call.queries - 1 + rules.base


def row_inputs(capture: UnitCapture, state: Pass) -> RowInputs | None:
    """The inputs of the reduction on one device; None for a call without tokens."""
    call = _upright(capture, state)
    if not call.batch or call.device is None:
        return None
    cached = state.cached if state.cached is not None else 0
    positions = fit_positions(_positions(capture, state, cached), call.batch, call.queries)
    device = positions.device if positions is not None else call.device
    mask = call.mask if call.mask is not None else state.padding_mask
    starts = start_flags(state.segments, call.batch, call.queries) if state.segments is not None else None
    if isinstance(mask, Tensor) and mask.shape[0] not in (1, call.batch):
        mask = None
    return RowInputs(
        batch=call.batch,
        queries=call.queries,
        device=device,
        ids=_on(call.ids, device),
        positions=positions,
        mask=_on(mask, device),
        opaque_mask=call.opaque_mask,
        cached=to_device(cached, device) if isinstance(cached, Tensor) and cached.device != device else cached,
        token_types=_on(call.token_types, device),
        starts=_on(starts, device),
    )


def _upright(capture: UnitCapture, state: Pass) -> Call:
    """Plain torch modules may take [sequence, batch]: the table's rows or the padding mask tell."""
    call = state.call
    if capture.has_config or call.ids is None or call.batch == call.queries:
        return call
    swapped = (call.queries, call.batch)
    by_mask = state.padding_mask is not None and tuple(state.padding_mask.shape) == swapped
    by_table = state.positions is not None and state.positions.numel() == call.batch and state.positions.dim() < 2
    return call.transposed() if by_mask or by_table else call


def _positions(capture: UnitCapture, state: Pass, cached: int | Tensor) -> Tensor | None:
    """As they reached the table or the rotary module; from an ALiBi bias; else as the caller gave them."""
    if state.positions is not None:
        return state.positions
    profile, bias = capture.profile, state.bias
    if bias is not None and profile.family in fam.COUNTING_ALIBI:
        slope = alibi_slopes(profile.heads)[capture.steepest]
        return positions_from(bias, slope, capture.steepest, cached, state.call.queries)
    return state.call.positions


def _on(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return to_device(tensor, device) if tensor is not None and tensor.device != device else tensor


def _rotary_tensors(capture: UnitCapture, state: Pass, inputs: RowInputs | None) -> dict[str, Tensor]:
    named: dict[str, Tensor] = {}
    if state.rotary:
        named["rotary"] = torch.stack(state.rotary).amax(0)
    if state.hashed:
        named["hash"] = state.hashed[0]
    bias = state.bias
    if bias is not None and state.looks_at_rotary and capture.slopes is not None:
        kept = inputs.mask != 0 if inputs is not None and inputs.mask is not None else None
        slopes = capture.slopes if capture.slopes.device == bias.device else to_device(capture.slopes, bias.device)
        named["bias"] = measure(bias, slopes, capture.steepest, kept)
        state.rotary_dtype = str(bias.dtype).removeprefix("torch.")
    return named


def _hashed(request_ids: tuple[str, ...], salt: int) -> Iterator[str]:
    for request_id in request_ids:
        yield hashlib.blake2b(request_id.encode(), digest_size=8, key=salt.to_bytes(8, "little")).hexdigest()


def _seen(capture: UnitCapture, state: Pass, inputs: RowInputs | None) -> Iterator[str]:
    """Signals that this pass showed, or that this model has nothing to show of."""
    profile, off = capture.profile, capture.guard.off
    tokens = inputs is not None
    seen: Mapping[str, bool] = {
        "positions": tokens and inputs is not None and inputs.positions is not None or profile.scheme == fam.NONE,
        "mask": tokens and not state.call.opaque_mask,
        "cache": state.cached is not None and (capture.has_cache or profile.kind == fam.ENCODER),
        "rotary": state.rotary_seen or state.bias is not None or profile.scheme not in (fam.ROPE, fam.MROPE, fam.ALIBI),
        "attention": capture.arm is not None and "attention" not in off,
        "segments": profile.token_types == 0 or (tokens and inputs is not None and inputs.ids is not None),
        "memory": True,
        "timing": True,
    }
    return (signal for signal, visible in seen.items() if visible)
