"""What a model says about its positions, read from its configuration and its modules; never guessed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from torch import nn

from locant.observation import Limits, ModelProfile
from locant.probe import families as fam
from locant.probe.families import FAMILIES, Family
from locant.probe.geometry import cache_bytes_per_token, head_size, heads, layers, read, window
from locant.probe.numbering import Numbering, numbering
from locant.probe.plain import describe_plain
from locant.probe.rope_config import rope_sets, trained_tokens
from locant.probe.structure import Unit, bearer, filled_rows, require_module, table_of, text_config, units, unwrap
from locant.probe.tables import is_sinusoidal


def describe(model: object) -> ModelProfile:
    """The positional profile of a transformers model or a plain torch module; None or "unknown" where it does not say.

    Raises ModelError when `model` is no torch module.
    """
    module = require_module(model)
    config = text_config(module)
    if config is None or not hasattr(config, "model_type"):
        return describe_plain(unwrap(module), units(module)[-1])
    unit = units(module)[-1]
    family = _family(config, unit)
    table = table_of(unit.tables[0].module) if unit.tables else None
    rows = filled_rows(table) if table is not None and family.scheme in fam.ABSOLUTE_SCHEMES else None
    first = _first_position(config, family, unit)
    base = first.base
    return ModelProfile(
        family=config.model_type or type(unwrap(module)).__name__,
        scheme=family.scheme,
        kind=family.kind,
        absolute=family.scheme in fam.ABSOLUTE_SCHEMES and first.certain,
        base=base,
        trained_tokens=rows - base if rows is not None and family.scheme == fam.LEARNED else trained_tokens(config),
        table_rows=rows,
        pad_id=pad_id(module),
        separator_id=_token(config, "sep_token_id"),
        token_types=_token_types(unit.module, config),
        window=window(config),
        causal=family.kind != fam.ENCODER and not read(config, "use_bidirectional_attention"),
        layers=layers(config) or 0,
        heads=heads(config) or 0,
        head_size=head_size(config),
        cache_bytes_per_token=cache_bytes_per_token(config, module) if family.kind != fam.ENCODER else None,
        config_hash=config_hash(config),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        encoder=_encoder_limits(module, config, family),
    )


def _family(config: Any, unit: Unit) -> Family:
    """The data's line for the model, corrected by switches in its own configuration; else what the modules show."""
    known = FAMILIES.get(config.model_type or "")
    kind = known.kind if known else _kind(config, unit.module)
    if kind == fam.ENCODER and read(config, "is_decoder"):
        kind = fam.DECODER
    scheme, base, after_pad = (known.scheme, known.base, known.base_after_pad) if known else (_scheme(unit), 0, False)
    if uses_alibi(config):
        scheme = fam.ALIBI
    elif config.model_type == "mpt":
        scheme = fam.LEARNED if unit.tables else fam.UNKNOWN
    elif unit.rotaries and scheme not in (fam.MROPE, fam.PATCHES):
        scheme = fam.MROPE if any("mrope_section" in s.parameters for s in rope_sets(config)) else fam.ROPE
    elif config.model_type == "esm":
        scheme, after_pad = fam.LEARNED, True
    elif scheme == fam.LEARNED and unit.tables and is_sinusoidal(unit.tables[0].module):
        scheme = fam.SINUSOIDAL
    return Family(scheme, kind, base, after_pad)


def _scheme(unit: Unit) -> str:
    if unit.rotaries:
        return fam.ROPE
    if unit.tables:
        return fam.SINUSOIDAL if is_sinusoidal(unit.tables[0].module) else fam.LEARNED
    return fam.RELATIVE if unit.buckets else fam.UNKNOWN


def _kind(config: Any, model: nn.Module) -> str:
    if read(config, "is_encoder_decoder"):
        return fam.ENCODER_DECODER
    generates = getattr(bearer(model), "can_generate", None)
    if read(config, "is_decoder") or (callable(generates) and generates()):
        return fam.DECODER
    told = {part.is_causal for part in model.modules() if isinstance(getattr(part, "is_causal", None), bool)}
    return fam.DECODER if (any(told) if told else read(config, "use_cache")) else fam.ENCODER


def uses_alibi(config: Any) -> bool:
    """Whether the configuration switches ALiBi on (BLOOM has no switch: its family says so)."""
    attention = read(config, "attn_config")
    nested = attention.get("alibi") if isinstance(attention, dict) else getattr(attention, "alibi", False)
    return bool(read(config, "alibi") or nested)


def _encoder_limits(module: nn.Module, config: Any, family: Family) -> Limits | None:
    """The encoder's own table in a model of two parts; None where it has none, or where its rows are no positions."""
    encoder = units(module)[0]
    if not encoder.encoder or not encoder.tables or family.scheme == fam.RELATIVE:
        return None
    part = encoder.tables[0].module
    table = table_of(part)
    if table is None:
        return None
    scheme = fam.SINUSOIDAL if is_sinusoidal(part) else fam.LEARNED
    return Limits(scheme, _first_position(config, family, encoder).base, filled_rows(table))


def _first_position(config: Any, family: Family, unit: Unit) -> Numbering:
    """Where numbering starts: by the data for families it knows, else by what the modules show."""
    if family.scheme not in fam.ABSOLUTE_SCHEMES:
        return Numbering(0, certain=True)
    if family.base_after_pad:
        own = getattr(unit.tables[0].module, "padding_idx", None) if unit.tables else None
        return Numbering((own if isinstance(own, int) else _token(config, "pad_token_id") or 0) + 1, certain=True)
    if family.base or config.model_type in FAMILIES:
        return Numbering(family.base, certain=True)
    return numbering(unit)


def pad_id(model: nn.Module) -> int | None:
    """The padding token's id as the generation settings or the configuration name it."""
    inner = bearer(model)
    for source in (text_config(model), getattr(inner, "config", None), getattr(inner, "generation_config", None)):
        found = _token(source, "pad_token_id")
        if found is not None:
            return found
    return None


def _token(config: Any, key: str) -> int | None:
    value = read(config, key)
    value = value[0] if isinstance(value, (list, tuple)) and value else value
    return value if isinstance(value, int) and value >= 0 else None


def _token_types(model: nn.Module, config: Any) -> int:
    """Rows of the token type table that the model really has; some configurations name types that are not built."""
    for name, module in model.named_modules():
        if name.endswith("token_type_embeddings") and isinstance(module, nn.Embedding):
            return module.num_embeddings
    return 0


def config_hash(config: Any) -> str:
    """Twelve hex digits over everything positional in the configuration, nested ones included."""
    data = config.to_dict() if hasattr(config, "to_dict") else dict(vars(config))
    kept = {k: v for k, v in data.items() if any(part in k for part in fam.POSITIONAL_KEYS)}
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def name_of(model: nn.Module) -> str:
    """What the model is called: the configuration's name or path, else the class."""
    inner = bearer(model)
    path = getattr(getattr(inner, "config", None), "name_or_path", "") or ""
    return str(path) or type(inner).__name__


def version_of(model: nn.Module, profile: ModelProfile) -> str:
    """The release: the commit the weights were fetched at, else the checksum of the configuration."""
    commit = getattr(getattr(bearer(model), "config", None), "_commit_hash", None)
    return str(commit) if commit else profile.config_hash
