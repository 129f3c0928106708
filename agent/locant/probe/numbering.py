"""Where a position table's numbering starts, for families that the data does not know."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from locant.probe.structure import Unit, unwrap


@dataclass(frozen=True, slots=True)
class Numbering:
    """Table index of the first real token; `certain` when the modules say it and nothing speaks against it."""

    base: int
    certain: bool


def numbering(unit: Unit) -> Numbering:
    """What the first table of a unit and the module around it show.

    An `offset` is added to every position; a buffer of position ids begins with the first one; a method that makes
    positions from token ids counts on from the padding row. A padding row alone may mean either.
    """
    if not unit.tables:
        return Numbering(0, certain=False)
    table = unit.tables[0].module
    owner = _owner(unit, unit.tables[0].name)
    offset, padding = getattr(table, "offset", None), getattr(table, "padding_idx", None)
    if isinstance(offset, int):
        return Numbering(offset, certain=True)
    if isinstance(padding, int) and hasattr(owner, "create_position_ids_from_input_ids"):
        return Numbering(padding + 1, certain=True)
    listed = getattr(owner, "position_ids", None)
    if isinstance(listed, torch.Tensor) and listed.numel() and not listed.is_floating_point():
        return Numbering(int(listed.flatten()[0]), certain=padding is None)
    return Numbering(0, certain=padding is None)


def _owner(unit: Unit, name: str) -> nn.Module:
    return unwrap(unit.module).get_submodule(name.rpartition(".")[0])
