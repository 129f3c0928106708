"""Whether what lies in a cache is what attention sees: rotated before it is kept, handed out as it was kept."""

from __future__ import annotations

from typing import Any

from torch import nn

from locant.probe.keys.tail import written_by

_LIBRARY = "transformers."


class Stock:
    """Knows the library's own attention and caches. Both rotate first and keep then; others may do it the other way.

    An engine that keeps keys unrotated and turns them at every call renumbers by right, and looks like one that forgot.
    """

    def __init__(self, model: nn.Module, layer: int | None) -> None:
        self._attention = (
            [m for m in model.modules() if getattr(m, "layer_idx", None) == layer] if layer is not None else []
        )
        self._known: dict[tuple[type, type], bool] = {}
        self._layer = layer or 0

    def keeps_what_it_was_given(self, cache: Any) -> bool:
        """Whether this cache's keys are those that attention sees."""
        try:
            kinds = written_by(cache, self._layer)
        except (AttributeError, IndexError, TypeError):
            return False
        known = self._known.get(kinds)
        if known is None:
            known = self._known[kinds] = all(_own(kind, "update") for kind in kinds)
        return known and bool(self._attention) and all(map(_is_stock, self._attention))


def _is_stock(module: nn.Module) -> bool:
    return "forward" not in module.__dict__ and _own(type(module), "forward")


def _own(kind: type, method: str) -> bool:
    """Whether a class's method is the one that the library defined."""
    return str(getattr(getattr(kind, method, None), "__module__", "")).startswith(_LIBRARY)
