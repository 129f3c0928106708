"""Whether what lies in a cache is what attention sees: rotated before it is kept, handed out as it was kept."""

from __future__ import annotations

from typing import Any

from torch import nn

_LIBRARY = "transformers."


class Stock:
    """Knows the library's own attention and caches. Both rotate first and keep then; others may do it the other way.

    An engine that keeps keys unrotated and turns them at every call renumbers by right, and looks like one that forgot.
    """

    def __init__(self, model: nn.Module, layer: int | None) -> None:
        self._attention = (
            [m for m in model.modules() if getattr(m, "layer_idx", None) == layer] if layer is not None else []
        )
        self._forwards = [(module, type(module), type(module).forward) for module in self._attention]
        self._stock = bool(self._attention) and all(_own(kind, "forward") for _, kind, _ in self._forwards)
        self._known: dict[tuple[type, type], bool] = {}
        self._layer = layer or 0

    def layer_of(self, cache: Any) -> Any:
        """The cache's layer whose keys are those that attention sees; None where they may be others."""
        own = getattr(cache, "self_attention_cache", cache)
        try:
            layer = own.layers[self._layer]
        except (AttributeError, IndexError, TypeError):
            return None
        kinds = type(own), type(layer)
        known = self._known.get(kinds)
        if known is None:
            known = self._known[kinds] = all(_own(kind, "update") for kind in kinds)
        return layer if known and self._stock and self._unchanged() else None

    def _unchanged(self) -> bool:
        """Whether nobody has put another forward in the place of the library's. Asked in every pass."""
        for module, kind, forward in self._forwards:
            if "forward" in module.__dict__ or kind.forward is not forward:
                return False
        return True


def _own(kind: type, method: str) -> bool:
    """Whether a class's method is the one that the library defined."""
    return str(getattr(getattr(kind, method, None), "__module__", "")).startswith(_LIBRARY)
