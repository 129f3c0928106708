"""One attention call of a graph, as text that a compiled graph can carry and a later process can still read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor

_TENSOR, _NUMBER = "tensor", "number"


@dataclass(frozen=True, slots=True)
class Site:
    """`function` of torch and its arguments; where one is a tensor stands {"tensor": its place among those given},
    where it is a number that the graph takes as an input, {"number": its place}.

    `layer`: the number in the name of the module that calls it, None where it has none. `mask`: the name of the mask
    in the graph, the same for the same value; "" without one.
    """

    function: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    layer: int | None
    mask: str

    def text(self) -> str:
        """What `read` reads."""
        return json.dumps([self.function, self.args, self.kwargs, self.layer, self.mask])

    def call(self, given: Sequence[Tensor], numbers: Sequence[float]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments with these tensors and numbers in their places."""

        def filled(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            return given[value[_TENSOR]] if _TENSOR in value else numbers[value[_NUMBER]]

        return [filled(value) for value in self.args], {name: filled(value) for name, value in self.kwargs.items()}


def tensor_place(number: int) -> dict[str, int]:
    """What stands for the n-th given tensor among a site's arguments."""
    return {_TENSOR: number}


def number_place(number: int) -> dict[str, int]:
    """What stands for the n-th given number among a site's arguments."""
    return {_NUMBER: number}


@lru_cache(maxsize=4096)
def read(text: str) -> Site:
    """The site that a text came from."""
    return Site(*json.loads(text))
