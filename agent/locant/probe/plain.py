"""Profiles of modules without a transformers configuration: only what their parts show."""

from __future__ import annotations

import hashlib

from torch import nn

from locant.observation import ModelProfile
from locant.probe import families as fam
from locant.probe.bare import BareTable, length_table
from locant.probe.numbering import numbering
from locant.probe.structure import Unit, filled_rows, table_of
from locant.probe.tables import SINUSOID_TOLERANCE, is_sinusoidal, sinusoid_error
from locant.probe.wrapping import bends_index


def describe_plain(model: nn.Module, unit: Unit) -> ModelProfile:
    """The profile of a plain torch module. Trained length is the table's; only a decoder is taken for causal."""
    attention = [module for module in model.modules() if isinstance(module, nn.MultiheadAttention)]
    table = table_of(unit.tables[0].module) if unit.tables else None
    bare = length_table(model, unit)
    scheme = _scheme(unit) if bare is None else _scheme_of(bare)
    first = numbering(unit)
    rows = filled_rows(table) if table is not None else None
    trained = rows - first.base if rows is not None else None
    if bare is not None:
        rows, trained = _lengths(bare, scheme)
    kind = _kind(model)
    return ModelProfile(
        family=type(model).__name__,
        scheme=scheme,
        kind=kind,
        absolute=scheme in fam.ABSOLUTE_SCHEMES and first.certain,
        base=first.base,
        trained_tokens=trained,
        table_rows=rows,
        pad_id=_pad_id(model, unit),
        separator_id=None,
        token_types=0,
        window=None,
        causal=kind == fam.DECODER,
        layers=_layers(model, attention),
        heads=attention[0].num_heads if attention else 0,
        head_size=attention[0].head_dim if attention else None,
        cache_bytes_per_token=None,
        config_hash=_shape_hash(model),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _scheme(unit: Unit) -> str:
    if unit.tables:
        return fam.SINUSOIDAL if is_sinusoidal(unit.tables[0].module) else fam.LEARNED
    if unit.rotaries:
        return fam.ROPE
    return fam.RELATIVE if unit.buckets else fam.UNKNOWN


def _scheme_of(table: BareTable) -> str:
    return fam.SINUSOIDAL if sinusoid_error(table.tensor) < SINUSOID_TOLERANCE else fam.LEARNED


def _lengths(table: BareTable, scheme: str) -> tuple[int | None, int | None]:
    """(rows that positions may index, trained length). An index that is bent back never leaves the rows."""
    rows = filled_rows(table.tensor)
    if not table.learned:
        return rows, None
    if bends_index(table):
        return None, rows
    return rows, rows if scheme == fam.LEARNED else None


def _kind(model: nn.Module) -> str:
    modules = list(model.modules())
    encoder = any(isinstance(m, (nn.TransformerEncoder, nn.TransformerEncoderLayer)) for m in modules)
    decoder = any(isinstance(m, (nn.TransformerDecoder, nn.TransformerDecoderLayer)) for m in modules)
    if encoder and decoder:
        return fam.ENCODER_DECODER
    return fam.DECODER if decoder else fam.ENCODER


def _pad_id(model: nn.Module, unit: Unit) -> int | None:
    """The `padding_idx` of the token embedding: the largest embedding that is no position table."""
    tables = {id(part.module) for part in unit.tables}
    tokens = [m for m in model.modules() if isinstance(m, nn.Embedding) and id(m) not in tables]
    largest = max(tokens, key=lambda m: m.num_embeddings, default=None)
    return largest.padding_idx if largest is not None else None


def _layers(model: nn.Module, attention: list[nn.MultiheadAttention]) -> int:
    kinds = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
    count = sum(isinstance(module, kinds) for module in model.modules())
    return count or len(attention)


def _shape_hash(model: nn.Module) -> str:
    text = ";".join(f"{name}:{tuple(tensor.shape)}" for name, tensor in model.state_dict().items())
    return hashlib.sha256(text.encode()).hexdigest()[:12]
