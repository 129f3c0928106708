"""Positional tables and masks that a model keeps: their size, and whether they grew in a pass. Shapes only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from locant.probe.structure import Unit, unwrap

_POSITIONAL = re.compile(r"cos|sin|pos|rope|alibi|mask|freqs|^bias$|^pe$|rel", re.IGNORECASE)
_TORCHS_OWN = frozenset(nn.Module().__dict__)
_MODULES = 8
"""Modules followed; per-layer copies grow alike."""


class GrowthWatch:
    """Remembers the rows of positional tensors. Not shared between threads' passes: the last writer wins, by design."""

    def __init__(self, unit: Unit) -> None:
        own = [part.module for part in (*unit.rotaries, *unit.tables)]
        others = [module for module in unwrap(unit.module).modules() if any(_kept(module))]
        self._modules = tuple({id(module): module for module in (*own, *others)}.values())[:_MODULES]
        self._containers = tuple(_containers(unwrap(unit.module)))[:_MODULES]
        self._rows = self._measure()
        self._identities = self._identify()
        self.bytes = self._weigh()

    def look(self) -> tuple[tuple[int, int], ...]:
        """(rows before, rows after) of each positional tensor that grew since the last look."""
        identities = self._identify()
        if identities == self._identities:
            return ()
        self._identities = identities
        before, self._rows = self._rows, self._measure()
        self.bytes = self._weigh()
        return tuple((before.get(key, 0), rows) for key, rows in self._rows.items() if rows > before.get(key, 0))

    def _identify(self) -> list[tuple[int, int]]:
        """Cheap, for every pass: which tensors are held, their first extents, and how much the containers hold."""
        held_elsewhere = [(id(container), len(container)) for container in self._containers]
        return held_elsewhere + [
            (id(value), value.shape[0] if value.dim() else 0)
            for module in self._modules
            for held in (module._buffers, module.__dict__)
            for value in held.values()
            if value.__class__ is Tensor
        ]

    def _measure(self) -> dict[tuple[int, str], int]:
        return {
            (index, name): tensor.numel() // (tensor.shape[-1] or 1)
            for index, module in enumerate(self._modules)
            for name, tensor in _kept(module)
        }

    def _weigh(self) -> int:
        tensors = [tensor for module in self._modules for _, tensor in _kept(module)]
        for container in self._containers:
            values = container.values() if isinstance(container, dict) else container
            tensors += [value for value in list(values) if isinstance(value, Tensor)]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _containers(model: nn.Module) -> Iterator[dict[Any, Any] | list[Any]]:
    """Dictionaries and lists of a positional name that modules keep beside torch's own, empty ones too."""
    for module in model.modules():
        for name, value in module.__dict__.items():
            if isinstance(value, (dict, list)) and name not in _TORCHS_OWN and _POSITIONAL.search(name):
                yield value


def _kept(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, value in module._buffers.items():
        if value is not None and value.dim() > 1 and _POSITIONAL.search(name):
            yield name, value
    for name, value in module.__dict__.items():
        if isinstance(value, Tensor) and value.dim() > 1 and _POSITIONAL.search(name):
            yield name, value
