"""The static audit: positional parameters beside what the configuration says they must be, at attach and on change.

Everything in float64. A scaling that is not known yields nothing: silence is no verdict, coverage says what was seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from locant.observation import Deviation, ModelProfile
from locant.probe import families as fam
from locant.probe.bare import bare_tables
from locant.probe.frequencies import frequencies
from locant.probe.rope_config import RopeSet, rope_sets
from locant.probe.structure import Part, Unit, inv_freq_names, table_of, text_config, units
from locant.probe.table_audit import audit_bare, audit_table

INV_FREQ_TOLERANCE = 1e-4
"""float32 computes frequencies to 1e-6 and better; a cast to bfloat16 moves them by 4e-3."""
FACTOR_TOLERANCE = 1e-4
_HALF = 2
"""Bytes of a number in half precision."""
_SERIES = 3
"""Frequencies from which on it shows whether they are one geometric series."""


def audit(model: nn.Module, profile: ModelProfile) -> tuple[Deviation, ...]:
    """Every positional parameter that is not what the configuration says; () for a healthy or an unknown model."""
    with torch.no_grad():
        found = [found for unit in units(model) for found in _audit_unit(model, unit, profile)]
        return (*found, *(more for table in bare_tables(model) for more in audit_bare(table.name, table.tensor)))


def _audit_unit(model: nn.Module, unit: Unit, profile: ModelProfile) -> Iterator[Deviation]:
    for part in unit.rotaries if profile.scheme != fam.ALIBI else ():
        for name in inv_freq_names(part.module):
            rope = rope_of(part.module, name, text_config(model))
            yield from _audit_inv_freq(part, name, rope, known_size=_states_size(profile, rope))
    for part in unit.tables:
        table = table_of(part.module) if profile.scheme == fam.PATCHES else None
        if profile.scheme in fam.ABSOLUTE_SCHEMES:
            yield from audit_table(part, profile)
        elif table is not None:
            yield from audit_bare(part.name, table)


def rope_of(module: nn.Module, name: str, fallback: Any) -> RopeSet | None:
    """The settings that a rotary module's frequency tensor `name` was made from; None when that is not certain."""
    config = getattr(module, "config", None) or fallback
    sets = {rope.layer_type: rope for rope in rope_sets(config)} if config is not None else {}
    layer_type = name.removesuffix("inv_freq").rstrip("_")
    found = sets.get(layer_type)
    if found is None and layer_type == "" and len(sets) == 1:
        found = next(iter(sets.values()))
    return found


def _states_size(profile: ModelProfile, rope: RopeSet | None) -> bool:
    """Whether the number of rotated channels follows for certain: one size for all layers, in a family of the data."""
    return rope is not None and rope.layer_type == "" and profile.family in fam.FAMILIES


def _audit_inv_freq(part: Part, name: str, rope: RopeSet | None, *, known_size: bool) -> Iterator[Deviation]:
    where = f"{part.name}.{name}"
    found = getattr(part.module, name).detach()
    values = found.to("cpu", torch.float64).flatten()
    if not bool(torch.isfinite(values).all()):
        yield Deviation(where, "inv_freq", float("inf"), "finite numbers", _brief(values))
        return
    expected = expected_frequencies(part.module, rope)
    if expected is None:
        yield from _audit_cast(where, found, values)
        return
    if expected.inv_freq.shape != values.shape:
        if known_size:
            size, held = len(expected.inv_freq), len(values)
            detail = "another part of each head is rotated"
            yield Deviation(where, "rotary_size", abs(held / size - 1), f"{size} frequencies", f"{held}", detail)
        return
    error = relative_error(values, expected.inv_freq)
    if error > INV_FREQ_TOLERANCE:
        kind = "dtype" if found.dtype in (torch.bfloat16, torch.float16) and error < 0.02 else "inv_freq"
        detail = f"held in {str(found.dtype).removeprefix('torch.')}; RoPE type {rope.kind if rope else 'unknown'}"
        yield Deviation(where, kind, error, _brief(expected.inv_freq), _brief(values), detail)
    yield from _audit_factor(part, name, expected.factor)


def _audit_cast(where: str, found: torch.Tensor, values: torch.Tensor) -> Iterator[Deviation]:
    """Frequencies of unknown settings, in half precision: those of plain RoPE are one geometric series."""
    if found.element_size() > _HALF or len(values) < _SERIES or not bool((values > 0).all()):
        return
    step = torch.arange(len(values), dtype=torch.float64)
    away = step - step.mean()
    logs = values.log()
    series = (logs.mean() + away * (logs @ away) / (away @ away)).exp()
    error = relative_error(values, series)
    if INV_FREQ_TOLERANCE < error < torch.finfo(found.dtype).eps:
        dtype = str(found.dtype).removeprefix("torch.")
        yield Deviation(where, "dtype", error, _brief(series), _brief(values), f"held in {dtype}; settings unknown")


def _audit_factor(part: Part, name: str, expected: float) -> Iterator[Deviation]:
    attribute = name.removesuffix("inv_freq") + "attention_scaling"
    found = getattr(part.module, attribute, None)
    if not isinstance(found, (int, float)):
        return
    error = abs(found / expected - 1.0)
    if not error <= FACTOR_TOLERANCE:
        where = f"{part.name}.{attribute}"
        yield Deviation(where, "attention_factor", error, f"{expected:.6g}", f"{found:.6g}")


def expected_frequencies(module: nn.Module, rope: RopeSet | None) -> Any:
    """The reference for a rotary module as it stands now, the length it has grown to included; None when unknown."""
    if rope is None:
        return None
    reached = getattr(module, "max_seq_len_cached", None) if rope.kind == "dynamic" else None
    if rope.kind == "longrope":
        reached = _longrope_length(module, rope)
    return frequencies(rope, int(reached) if reached is not None else None)


def _longrope_length(module: nn.Module, rope: RopeSet) -> int | None:
    """Longrope swaps between two legal sets: the nearer one is the one in use."""
    original = int(rope.number("original_max_position_embeddings") or rope.length or 0)
    short, long = frequencies(rope, None), frequencies(rope, original + 1)
    found = getattr(module, "inv_freq", None)
    if short is None or long is None or found is None or found.numel() != long.inv_freq.numel():
        return None
    values = found.detach().to("cpu", torch.float64)
    return original + 1 if relative_error(values, long.inv_freq) < relative_error(values, short.inv_freq) else None


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest |found - expected| over |expected| (over the smallest non-zero one where zero is expected)."""
    scale = expected.abs()
    floor = scale[scale > 0].min() if bool((scale > 0).any()) else torch.ones((), dtype=torch.float64)
    return float(((found - expected).abs() / scale.clamp_min(float(floor))).max())


def _brief(values: torch.Tensor) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values[:3].tolist())
    return f"[{shown}, ...] ({values.numel()} values)"
