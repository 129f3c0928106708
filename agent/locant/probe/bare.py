"""Position tables beside the text's modules: bare parameters and buffers, and what other towers number patches by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from locant.probe.call import parameter_names, takes
from locant.probe.families import BARE_TABLE_NAME, NO_TABLE_NAME, TABLE_NAME
from locant.probe.structure import Unit, units, unwrap

_NAME, _MODULE, _OTHER = re.compile(BARE_TABLE_NAME), re.compile(TABLE_NAME), re.compile(NO_TABLE_NAME)
_LONGEST_TABLE = 1 << 22
"""More rows than any position table has."""


@dataclass(frozen=True, slots=True)
class BareTable:
    """One tensor with a row per position, [rows, width], [1, rows, width] or [rows, 1, width], and who holds it."""

    name: str
    owner: nn.Module
    tensor: torch.Tensor

    @property
    def learned(self) -> bool:
        """Whether it is a parameter: its rows are what training left, and no code makes more of them."""
        return isinstance(self.tensor, nn.Parameter)


def bare_tables(model: nn.Module) -> Iterator[BareTable]:
    """Tables that no unit of the model has among its own: told by name and shape, as wide as the model's states."""
    inner = unwrap(model)
    known = {id(part.module) for unit in units(model) for part in unit.tables}
    widths = _widths(inner)
    for prefix, module in inner.named_modules():
        if id(module) in known:
            continue
        for attribute, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None and _named(prefix, module, attribute) and _shaped(tensor, widths):
                yield BareTable(f"{prefix}.{attribute}".lstrip("."), module, tensor)


def length_table(model: nn.Module, unit: Unit) -> BareTable | None:
    """The one bare table that bounds the number of tokens; None when that is not certain.

    Certain when the model takes tokens, has no other part for positions, and the table's owner embeds the tokens at the
    same width. Where the rows are the leading dimension of three, or there are two tables, it is not.
    """
    if unit.tables or unit.rotaries or unit.buckets or not takes(parameter_names(model), "tokens"):
        return None
    found = list(bare_tables(model))
    if len(found) != 1 or (found[0].tensor.dim() == 3 and found[0].tensor.shape[0] != 1):
        return None
    return found[0] if _embeds_tokens(found[0]) else None


def _embeds_tokens(table: BareTable) -> bool:
    width = table.tensor.shape[-1]
    return any(isinstance(m, nn.Embedding) and m.embedding_dim == width for m in table.owner.modules())


def _named(prefix: str, module: nn.Module, attribute: str) -> bool:
    """By its own name, or the weight of an embedding by the embedding's."""
    if isinstance(module, nn.Embedding):
        return attribute == "weight" and bool(_MODULE.match(prefix.rpartition(".")[2].lower()))
    name = attribute.lower()
    return bool(_NAME.search(name)) and not _OTHER.search(name)


def _shaped(tensor: torch.Tensor, widths: set[int]) -> bool:
    if not tensor.is_floating_point() or tensor.dim() not in (2, 3) or tensor.shape[-1] not in widths:
        return False
    rows = tensor.numel() // tensor.shape[-1]
    return 1 < rows <= _LONGEST_TABLE and (tensor.dim() == 2 or 1 in tensor.shape[:2])


def _widths(model: nn.Module) -> set[int]:
    """Sizes of hidden states: what embeddings and patch convolutions give and what norms take."""
    found: set[int] = set()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            found.add(module.embedding_dim)
        elif isinstance(module, nn.LayerNorm):
            found.add(module.normalized_shape[-1])
        elif isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            found.add(module.out_channels)
    return found
