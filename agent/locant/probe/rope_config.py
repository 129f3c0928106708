"""A configuration's rotary settings in one shape, whatever the model's age: one `RopeSet` per layer type.

Reads today's `rope_parameters` (flat, or nested by layer type) and yesterday's `rope_theta` + `rope_scaling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from locant.probe.families import LENGTH_KEYS
from locant.probe.geometry import first, head_size, read

_STRETCHING = frozenset({"linear", "dynamic", "yarn"})


@dataclass(frozen=True, slots=True)
class RopeSet:
    """The rotary settings of one layer type ("" when all layers share them)."""

    layer_type: str
    kind: str  # default, linear, dynamic, yarn, longrope, llama3, proportional, or a name we do not know
    theta: float | None
    rotary_size: int | None  # channels that are rotated
    head_size: int | None
    length: int | None  # longest position count the configuration states
    parameters: Mapping[str, Any]

    def number(self, key: str) -> float | None:
        """A numeric setting, None when it is absent."""
        value = self.parameters.get(key)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def rope_sets(config: Any) -> tuple[RopeSet, ...]:
    """Every rotary setting of a configuration; () when it has none."""
    parameters = _parameters(config)
    nested = {key: value for key, value in parameters.items() if isinstance(value, Mapping) and _looks_like_rope(value)}
    if nested:
        return tuple(_rope_set(config, key, value) for key, value in nested.items())
    return (_rope_set(config, "", parameters),) if parameters else ()


def stated_length(config: Any) -> int | None:
    """The longest length the configuration names, decoder's first."""
    value = first(config, *LENGTH_KEYS)
    return value if isinstance(value, int) and value > 0 else None


def trained_tokens(config: Any) -> int | None:
    """The length the model was trained or scaled for; the larger reading where a configuration is ambiguous.

    Linear, dynamic and YaRN scaling stretch the original length by their factor; Llama 3 and longrope configurations
    state the stretched length. Scaling of only some layer types leaves the stated length.
    """
    length, sets = stated_length(config), rope_sets(config)
    if length is None or len(sets) != 1 or sets[0].kind not in _STRETCHING:
        return length
    factor = sets[0].number("factor") or 1.0
    original = sets[0].number("original_max_position_embeddings") or length
    return max(length, int(original * factor))


def _parameters(config: Any) -> dict[str, Any]:
    stated = read(config, "rope_parameters")
    if isinstance(stated, Mapping) and stated:
        return dict(stated)
    theta = first(config, "rope_theta", "rotary_emb_base")
    if theta is None:
        return {}
    scaling = read(config, "rope_scaling")
    return {"rope_theta": theta, **(dict(scaling) if isinstance(scaling, Mapping) else {})}


def _looks_like_rope(value: Mapping[str, Any]) -> bool:
    return bool({"rope_type", "rope_theta", "type"} & set(value))


def _rope_set(config: Any, layer_type: str, parameters: Mapping[str, Any]) -> RopeSet:
    size = first(config, "qk_rope_head_dim") or head_size(config)
    kind = str(parameters.get("rope_type") or parameters.get("type") or "default")
    partial = parameters.get("partial_rotary_factor") or first(config, "partial_rotary_factor", "rotary_pct") or 1.0
    rotary = first(config, "rotary_dim") or (int(size * partial) if size else None)
    theta = parameters.get("rope_theta")
    return RopeSet(
        layer_type=layer_type,
        kind=kind,
        theta=float(theta) if isinstance(theta, (int, float)) else None,
        rotary_size=rotary,
        head_size=size,
        length=stated_length(config),
        parameters=dict(parameters),
    )
