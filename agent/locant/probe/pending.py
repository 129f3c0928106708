"""A finished pass on its way to becoming `ForwardFacts`: host facts now, device facts when they have arrived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from locant.observation import ABSENT, AttentionFacts, ForwardFacts, RotaryFacts, RowFacts
from locant.probe.attention.contract import STATISTICS, LayerStatistics
from locant.probe.decode import decode_columns, decode_rows
from locant.probe.rows import RowInputs, RowRules, reduce_rows
from locant.probe.timing import Stopwatch
from locant.probe.transfer import Shipment

_VISIBILITY = RowFacts._fields[-6:]


@dataclass(frozen=True, slots=True)
class Pending:
    """`facts` is complete but for rows, rotary and duration. `inputs` waits on the CPU to be reduced there."""

    facts: ForwardFacts
    stopwatch: Stopwatch
    shipment: Shipment
    rules: RowRules
    inputs: RowInputs | None
    single: bool
    ids: bool
    opaque: bool
    declared: bool
    rotary_dtype: str
    alibi: bool
    layers: tuple[LayerStatistics, ...]

    @property
    def ready(self) -> bool:
        """Whether everything has arrived."""
        return self.stopwatch.ready and self.shipment.arrived


def launch(inputs: RowInputs, rules: RowRules) -> tuple[dict[str, Tensor], RowInputs | None]:
    """Start reducing a pass: (tensors to ship, inputs to reduce later).

    On the CPU a copy of the few small tensors is kept and reduced on the agent's thread, off the model's path; elsewhere
    the reduction is launched on the device.
    """
    if inputs.device.type == "cpu":
        return {}, snapshot(inputs)
    return {"rows": decode_columns(inputs) if inputs.queries == 1 else reduce_rows(inputs, rules)}, None


def snapshot(inputs: RowInputs) -> RowInputs:
    """The same inputs with tensors of their own: a caller may write into its buffers as soon as the forward is over."""
    return replace(
        inputs,
        ids=_copy(inputs.ids),
        positions=_copy(inputs.positions),
        mask=_copy(inputs.mask),
        token_types=_copy(inputs.token_types),
    )


def _copy(tensor: Tensor | None) -> Tensor | None:
    return tensor.detach().clone() if tensor is not None else None


def complete(pending: Pending) -> tuple[ForwardFacts, list[AttentionFacts]]:
    """The facts of a pass whose tensors have arrived."""
    arrived = pending.shipment.arrive()
    rows = _with_visibility(_rows(pending, arrived), arrived)
    facts = replace(
        pending.facts,
        rows=tuple(rows),
        duration_seconds=pending.stopwatch.seconds,
        rotary=_rotary(pending, arrived, rows),
    )
    return facts, [_attention(facts, layer, arrived, index) for index, layer in enumerate(pending.layers)]


def _rows(pending: Pending, arrived: Mapping[str, Tensor]) -> list[RowFacts]:
    inputs = pending.inputs
    if inputs is not None:
        with torch.no_grad():
            values = decode_columns(inputs) if pending.single else reduce_rows(inputs, pending.rules)
    elif "rows" in arrived:
        values = arrived["rows"]
    else:
        return []
    listed = values.tolist()
    if pending.single:
        return decode_rows(listed, pending.rules, ids=pending.ids, opaque=pending.opaque, declared=pending.declared)
    return [RowFacts(*row) for row in listed]


def _with_visibility(rows: list[RowFacts], arrived: Mapping[str, Tensor]) -> list[RowFacts]:
    """The largest over layers of what sampled queries may see."""
    found = [tensor for name, tensor in arrived.items() if name.endswith(".visibility")]
    if not found or not rows or any(len(tensor) != len(rows) for tensor in found):
        return rows
    seen = torch.stack(found).amax(0).tolist()
    return [
        row._replace(**dict(zip(_VISIBILITY, columns, strict=True))) for row, columns in zip(rows, seen, strict=True)
    ]


def _rotary(pending: Pending, arrived: Mapping[str, Tensor], rows: Sequence[RowFacts]) -> RotaryFacts | None:
    found, hashed, bias = arrived.get("rotary"), arrived.get("hash"), arrived.get("bias")
    if found is None and hashed is None and bias is None:
        return None
    largest = max((row.max_position for row in rows), default=ABSENT)
    error, norm, ties = found.tolist() if found is not None else (None, None, None)
    slope, bias_ties = bias.tolist() if bias is not None else (None, None)
    return RotaryFacts(
        dtype=pending.rotary_dtype,
        output_error=error,
        norm_error=norm,
        tie_ratio=bias_ties if pending.alibi else ties,
        slope_error=slope,
        parameters_hash=int(hashed) if hashed is not None else None,
        largest_position=largest if largest != ABSENT else None,
    )


def attention_tensors(layers: Sequence[LayerStatistics]) -> dict[str, Tensor]:
    """Everything of the layers' statistics that must reach the host, by name."""
    named: dict[str, Tensor] = {}
    for index, layer in enumerate(layers):
        for field in ("sums", "rows", "padded_rows", "padding_mass_largest", "visibility", "heat", "heat_rows"):
            value = getattr(layer, field)
            if isinstance(value, Tensor):
                named[f"{index}.{field}"] = value
    return named


def _attention(
    facts: ForwardFacts, layer: LayerStatistics, arrived: Mapping[str, Tensor], index: int
) -> AttentionFacts:
    def get(field: str) -> Any:
        tensor = arrived.get(f"{index}.{field}")
        return tensor.tolist() if tensor is not None else None

    heat = arrived.get(f"{index}.heat")
    sums = {name: tuple(row) for name, row in zip(STATISTICS, get("sums"), strict=True)}
    return AttentionFacts(
        model_id=facts.model_id,
        time=facts.time,
        pass_number=facts.pass_number,
        layer=layer.layer,
        rows=int(get("rows")),
        padded_rows=int(get("padded_rows")),
        padding_mass_largest=float(get("padding_mass_largest")),
        heat_head=layer.heat_head,
        heat_bins=heat.shape[0] if heat is not None else 0,
        heat=tuple(heat.flatten().tolist()) if heat is not None else (),
        heat_rows=tuple(get("heat_rows") or ()),
        **sums,
    )
