"""A finished pass turned into observations, on the agent's thread, when the device has delivered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from locant.observation import ABSENT, AttentionFacts, ForwardFacts, RotaryFacts, RowFacts, RowField
from locant.probe import families as fam
from locant.probe.attention.contract import STATISTICS, LayerStatistics
from locant.probe.decode import decode_rows
from locant.probe.finished import Finished
from locant.probe.reduced import Wanted, beside_rows, reduced
from locant.probe.row_inputs import RowInputs

_VISIBILITY = RowFacts._fields[RowField.WINDOW_EXCESS :]


def forward_facts(
    done: Finished, arrived: Mapping[str, Tensor], *, model_id: int, peak_bytes: int, clear_ids: bool
) -> ForwardFacts:
    """Everything known of a pass. `arrived`: its tensors on the host, {} when the device failed it."""
    state, rules, call = done.state, done.capture.rules, done.state.call
    inputs = done.arrived_inputs(arrived)
    if inputs is not None and "rows" not in arrived:
        arrived = {**arrived, **_reduced(done, inputs)}
    rows = tuple(_with_visibility(_rows(done, inputs, arrived), arrived))
    planned = isinstance(state.cached, int) and call.queries > 0
    return ForwardFacts(
        model_id=model_id,
        time=done.time,
        pass_number=done.number,
        phase=state.phase,
        duration_seconds=state.seconds,
        queries=call.queries,
        rows=rows,
        cache_id=state.cache_id,
        cache_parent=state.cache_parent,
        masked=inputs is not None and inputs.masked,
        mask_rank=call.mask_rank,
        positions_given=call.numbered,
        highest_planned_position=int(state.cached or 0) + call.queries - 1 + rules.base if planned else None,
        rotary=_rotary(done, arrived, rows),
        table_growths=done.growths,
        positional_bytes=done.positional_bytes,
        cache_bytes=done.cache_bytes,
        peak_device_bytes=peak_bytes,
        error=done.error,
        declared=state.segments is not None,
        packed=call.packed,
        segments_astray=tuple(arrived["segments"].tolist()) if "segments" in arrived else (),
        encoder_pads_open=tuple(arrived["memory"].tolist()) if "memory" in arrived else (),
        request_ids=state.request_ids if clear_ids else tuple(_hashed(state.request_ids, rules.salt)),
        seen=tuple(_seen(done, inputs)),
        **_places(arrived),
        whole=state.is_whole,
        across=state.across,
        trace_id=state.trace[0],
        span_id=state.trace[1],
        keys=done.capture.key_follower.take(state, rows, arrived),
    )


def attention_facts(
    done: Finished, arrived: Mapping[str, Tensor], *, model_id: int, heads: tuple[int, ...] | None = None
) -> Iterator[AttentionFacts]:
    """One observation for each profiled layer of the pass."""
    for index, layer in enumerate(done.state.layers):
        if f"{index}.sums" in arrived:
            yield _attention(done, layer, arrived, index, model_id, heads)


def _reduced(done: Finished, inputs: RowInputs) -> dict[str, Tensor]:
    """What the inputs of a pass that travelled raw come to; the rows of single tokens are spelled out by `_rows`."""
    rules, state = done.capture.rules, done.state
    wanted = Wanted(state.attention_look is not None, state.is_whole)
    with torch.no_grad():
        if inputs.queries == 1:
            return beside_rows(inputs, rules, wanted)
        return reduced(inputs, rules, wanted)


def _rows(done: Finished, inputs: RowInputs | None, arrived: Mapping[str, Tensor]) -> list[RowFacts]:
    if inputs is None:
        return []
    if "rows" in arrived:
        return [RowFacts(*row) for row in arrived["rows"].tolist()]
    return decode_rows(inputs, done.capture.rules, declared=done.state.segments is not None)


def _with_visibility(rows: list[RowFacts], arrived: Mapping[str, Tensor]) -> list[RowFacts]:
    """The largest over layers of what sampled queries may see."""
    found = [tensor for name, tensor in arrived.items() if name.endswith(".visibility")]
    if not found or not rows or any(len(tensor) != len(rows) for tensor in found):
        return rows
    seen = torch.stack(found).amax(0).tolist()
    return [
        row._replace(**dict(zip(_VISIBILITY, columns, strict=True))) for row, columns in zip(rows, seen, strict=True)
    ]


def _places(arrived: Mapping[str, Tensor]) -> dict[str, Any]:
    if "places" not in arrived:
        return {}
    columns, *positions = arrived["places"].tolist()
    return {"position_columns": tuple(columns), "positions": tuple(map(tuple, positions))}


def _rotary(done: Finished, arrived: Mapping[str, Tensor], rows: Sequence[RowFacts]) -> RotaryFacts | None:
    found, hashed, bias = arrived.get("rotary"), arrived.get("hash"), arrived.get("bias")
    buckets = arrived.get("buckets")
    if all(one is None for one in (found, hashed, bias, buckets)):
        return None
    largest = max((row.max_position for row in rows), default=ABSENT)
    error, norm, ties, own = found.tolist() if found is not None else (None, None, None, None)
    slope, bias_ties = bias.tolist() if bias is not None else (None, None)
    return RotaryFacts(
        dtype=done.state.rotary_dtype,
        output_error=error,
        own_error=own,
        norm_error=norm,
        tie_ratio=ties if bias is None else None if done.capture.profile.family in fam.COARSE_ALIBI else bias_ties,
        slope_error=slope,
        parameters_hash=int(hashed) if hashed is not None else None,
        wrong_buckets=int(buckets) if buckets is not None else None,
        largest_position=largest if largest != ABSENT else None,
    )


def _attention(
    done: Finished,
    layer: LayerStatistics,
    arrived: Mapping[str, Tensor],
    index: int,
    model_id: int,
    heads: tuple[int, ...] | None,
) -> AttentionFacts:
    def get(field: str) -> Any:
        tensor = arrived.get(f"{index}.{field}")
        return tensor.tolist() if tensor is not None else None

    heat = arrived.get(f"{index}.heat")
    found = get("sums")
    chosen = tuple(head for head in heads or () if 0 <= head < len(found[0]))
    sums = {
        name: tuple(row[head] for head in chosen) if chosen else tuple(row)
        for name, row in zip(STATISTICS, found, strict=True)
    }
    told = done.state.is_whole
    seen = arrived[f"{index}.visibility"].amax(0).tolist() if told else ()
    return AttentionFacts(
        model_id=model_id,
        time=done.time,
        pass_number=done.number,
        layer=layer.layer,
        rows=int(get("rows")),
        padded_rows=int(get("padded_rows")),
        padding_mass_largest=float(get("padding_mass_largest")),
        heads=chosen,
        heat_head=layer.heat_head,
        heat_bins=heat.shape[0] if heat is not None else 0,
        heat=tuple(heat.flatten().tolist()) if heat is not None else (),
        heat_rows=tuple(get("heat_rows") or ()),
        visibility=tuple(seen),
        window=layer.window if told else 0,
        mask=layer.mask if told else "",
        **sums,
    )


def _hashed(request_ids: tuple[str, ...], salt: int) -> Iterator[str]:
    for request_id in request_ids:
        yield hashlib.blake2b(request_id.encode(), digest_size=8, key=salt.to_bytes(8, "little")).hexdigest()


def _seen(done: Finished, inputs: RowInputs | None) -> Iterator[str]:
    """Signals that this pass showed, or that this model has nothing to show of."""
    capture, state = done.capture, done.state
    profile, tokens = capture.profile, inputs is not None
    rotating = profile.scheme in (fam.ROPE, fam.MROPE, fam.ALIBI)
    if (inputs is not None and inputs.positions is not None) or profile.scheme == fam.NONE:
        yield "positions"
    if tokens and not state.call.opaque_mask:
        yield "mask"
    if state.cached is not None and (capture.has_cache or (profile.kind == fam.ENCODER and capture.has_config)):
        yield "cache"
    if state.keys_seen or profile.scheme not in (fam.ROPE, fam.MROPE) or _keeps_no_keys(done):
        yield "keys"
    if state.rotary_seen or not rotating:
        yield "rotary"
    if state.covers_attention and "attention" not in capture.guard.off:
        yield "attention"
    if profile.token_types == 0 or (inputs is not None and inputs.ids is not None):
        yield "segments"
    yield "memory"
    yield "timing"


def _keeps_no_keys(done: Finished) -> bool:
    fresh = isinstance(done.state.cached, int) and done.state.cached == 0
    return done.capture.unit.encoder or (done.state.cache_id == 0 and fresh)
