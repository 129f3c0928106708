"""One pass kept for a finding, and its form on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from locant.observation import ABSENT, AttentionFacts, ForwardFacts
from locant.sidecar.kept.tensors import Table, pack, table, unpack
from locant_slo.findings import Finding

_FORMAT = "locant-pass/v1"
_SCALARS = (
    "model_id", "time", "pass_number", "phase", "duration_seconds", "queries", "masked", "mask_rank",
    "positions_given", "declared", "packed", "whole", "cache_id", "positional_bytes", "cache_bytes", "error",
    "trace_id",
)  # fmt: skip
"""Fields of `ForwardFacts` that are kept; request ids and the span are not."""
STATISTICS = (
    "padding_mass", "entropy", "distance", "first_token_mass", "future_mass", "self_mass", "recency_mass",
    "largest_weight", "cross_mass", "window_mass", "relative_entropy", "log_distance", "log_sum_exp",
)  # fmt: skip
"""Fields of `AttentionFacts` with one sum a head; a file that does not name its own has the first nine."""
_LAYER_SCALARS = ("layer", "rows", "padded_rows", "padding_mass_largest", "heat_head", "visibility", "window", "mask")


@dataclass(frozen=True, slots=True)
class KeptPass:
    """A finding, and a pass that shows it (or, for a finding about the model itself, the next one)."""

    finding: Finding
    facts: ForwardFacts
    layers: tuple[AttentionFacts, ...]


def keep(finding: Finding, facts: ForwardFacts, layers: tuple[AttentionFacts, ...]) -> KeptPass:
    """The pass without what could tell one prompt or customer from another: token hashes and request ids."""
    rows = tuple(row._replace(first_token_hash=ABSENT) for row in facts.rows)
    return KeptPass(finding, replace(facts, rows=rows, request_ids=(), span_id=""), layers)


def to_bytes(kept: KeptPass) -> bytes:
    """As a safetensors file: tables of numbers, and the rest as JSON in its metadata."""
    facts = kept.facts
    tables = {"rows": table("I32", facts.rows)}
    if facts.positions:
        tables["position_columns"] = table("I32", [facts.position_columns])
        tables["positions"] = table("I32", facts.positions)
    for index, layer in enumerate(kept.layers):
        tables |= _tables(index, layer)
    told = {
        "finding": _plain_finding(kept.finding),
        "pass": {name: getattr(facts, name) for name in _SCALARS},
        "rotary": msgspec.to_builtins(facts.rotary),
        "statistics": STATISTICS,
        "layers": [{name: getattr(layer, name) for name in _LAYER_SCALARS} for layer in kept.layers],
    }
    return pack(tables, {"format": _FORMAT, "told": json.dumps(told)})


def from_bytes(content: bytes) -> KeptPass:
    """The kept pass. Raises ValueError when the bytes are none of this release."""
    tables, metadata = unpack(content)
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"is no {_FORMAT}")
    try:
        told = json.loads(metadata["told"])
        of_pass = {**told["pass"], "rotary": told["rotary"], "rows": tables["rows"].rows}
        if "positions" in tables:
            of_pass["position_columns"] = tables["position_columns"].rows[0]
            of_pass["positions"] = tables["positions"].rows
        names = told.get("statistics", STATISTICS[:9])
        layers = [
            _layer(index, of_pass, {**one, **_sums(index, names, tables)}, tables)
            for index, one in enumerate(told["layers"])
        ]
        return KeptPass(
            msgspec.convert(told["finding"], Finding),
            msgspec.convert(of_pass, ForwardFacts),
            tuple(msgspec.convert(one, AttentionFacts) for one in layers),
        )
    except (KeyError, IndexError, TypeError, msgspec.ValidationError) as error:
        raise ValueError(f"is no {_FORMAT} ({error})") from error


def _plain_finding(finding: Finding) -> dict[str, Any]:
    return {
        "failure_mode": finding.failure_mode.value,
        "severity": finding.severity.value,
        "check": finding.check,
        "message": finding.message,
        "model": finding.model,
        "model_version": finding.model_version,
        "first_seen": finding.first_seen,
        "last_seen": finding.last_seen,
        "count": finding.count,
    }


def _tables(index: int, layer: AttentionFacts) -> dict[str, Table]:
    heads = len(layer.entropy)
    sums = [getattr(layer, name) or (0.0,) * heads for name in STATISTICS]
    found = {f"layer.{index}.sums": table("F32", sums), f"layer.{index}.heads": table("I32", [layer.heads])}
    if layer.heat_bins:
        found[f"layer.{index}.heat"] = Table("F32", (layer.heat_bins, layer.heat_bins), layer.heat)
        found[f"layer.{index}.heat_rows"] = table("I32", [layer.heat_rows])
    return found


def _sums(index: int, names: list[str], tables: dict[str, Table]) -> dict[str, Any]:
    return dict(zip(names, tables[f"layer.{index}.sums"].rows, strict=True))


def _layer(index: int, of_pass: dict[str, Any], scalars: dict[str, Any], tables: dict[str, Table]) -> dict[str, Any]:
    """The fields of one layer's `AttentionFacts`."""
    name = f"layer.{index}"
    fields = {**scalars, **{one: of_pass[one] for one in ("model_id", "time", "pass_number")}}
    fields["heads"] = tables[f"{name}.heads"].rows[0]
    if f"{name}.heat" in tables:
        heat = tables[f"{name}.heat"]
        fields |= {"heat_bins": heat.shape[0], "heat": heat.values}
        fields["heat_rows"] = tables[f"{name}.heat_rows"].rows[0]
    return fields
