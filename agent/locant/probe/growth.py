"""Positional tables and masks that a model keeps: their size, and whether they grew in a pass. Shapes only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from locant.probe.structure import Unit, unwrap

_POSITIONAL = re.compile(r"cos|sin|pos|rope|alibi|mask|freqs|^bias$|^pe$|rel", re.IGNORECASE)
_TORCHS_OWN = frozenset(nn.Module().__dict__)
_NOTHING = (0, 0)
_MODULES = 8
"""Modules followed of those that keep something positional; per-layer copies grow alike."""
_OUTER = 4
"""And of the outermost, which may begin to."""


class GrowthWatch:
    """Remembers the rows of positional tensors. Not shared between threads' passes: the last writer wins, by design."""

    def __init__(self, unit: Unit) -> None:
        model = unwrap(unit.module)
        own = [part.module for part in (*unit.rotaries, *unit.tables)]
        others = [module for module in model.modules() if any(_kept(module))]
        keeping = list({id(module): module for module in (*own, *others)}.values())[:_MODULES]
        outer = [part for part in (model, *model.children()) if any(part.children())][:_OUTER]
        self._modules = tuple({id(module): module for module in (*keeping, *outer)}.values())
        self._containers = tuple(_containers(model))[:_MODULES]
        self._held = [held for module in self._modules for held in (module._buffers, module.__dict__)]
        self._places = self._watched_places()
        self._rows = self._measure()
        self._marks = self._mark()
        self.bytes = self._weigh()

    def look(self) -> tuple[tuple[int, int], ...]:
        """(rows before, rows after) of each positional tensor that grew since the last look."""
        marks = self._mark()
        if marks == self._marks:
            return ()
        self._places = self._watched_places()
        self._marks = self._mark()
        before, self._rows = self._rows, self._measure()
        self.bytes = self._weigh()
        return tuple((before.get(key, 0), rows) for key, rows in self._rows.items() if rows > before.get(key, 0))

    def _mark(self) -> list[int]:
        """Cheap, for every pass: what stands in the watched places, how large, and how much modules and lists hold."""
        marks = list(map(len, self._held))
        for held, name in self._places:
            value = held.get(name)
            marks += (id(value), value.numel()) if value.__class__ is Tensor else _NOTHING
        for container in self._containers:
            marks += (id(container), len(container))
        return marks

    def _watched_places(self) -> list[tuple[dict[str, Any], str]]:
        """Names that a positional tensor has, or may have one day: places stay when a module gets no new attribute."""
        return [
            (held, name) for held in self._held for name in held if name not in _TORCHS_OWN and _POSITIONAL.search(name)
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
