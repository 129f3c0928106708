"""The observed graphs of one model, from the time it is watched until it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakSet

from torch import nn

from locant.probe.attention.compiled.twins import COMPILER, Twin


class ModelGraphs:
    """Has every graph of a model observed that is compiled between `begin` and `close`. Older graphs stay as they are.

    `on_error` hears of a graph that could not be; `on_compiled` how many seconds one took, on the thread that waited.
    As long as `wanted` says no, graphs are left as they are.
    """

    def __init__(
        self,
        model: nn.Module,
        on_error: Callable[[Exception], None] | None = None,
        on_compiled: Callable[[float], None] | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._model = model
        self._on_error = on_error
        self._on_compiled = on_compiled
        self._wanted = wanted
        self._twins: WeakSet[Twin] = WeakSet()

    def begin(self) -> None:
        """Have graphs observed from now on."""
        COMPILER.listen(self)

    def in_use(self) -> bool:
        """Whether any graph in use is observed."""
        return len(self._twins) > 0

    def owns(self, scope: Mapping[str, Any]) -> bool:
        """See `twins.Listener`. A frame is the model's when a variable in it, or an argument, is one of its modules."""
        try:
            return self._wanted() and self._has(scope)
        except Exception as error:
            self.failed(error)
            return False

    def compiled(self, twin: Twin, seconds: float) -> None:
        """See `twins.Listener`."""
        self._twins.add(twin)
        if self._on_compiled is not None:
            self._on_compiled(seconds)

    def failed(self, error: Exception) -> None:
        """See `twins.Listener`."""
        if self._on_error is not None:
            self._on_error(error)

    def _has(self, scope: Mapping[str, Any]) -> bool:
        modules = [value for value in _values(scope) if isinstance(value, nn.Module)]
        return any(value is module for module in self._model.modules() for value in modules)

    def close(self) -> None:
        """Let the observed graphs go; the model's own stay in use."""
        COMPILER.leave(self)
        for twin in list(self._twins):
            twin.observed = None
        self._twins.clear()


def _values(scope: Mapping[str, Any]) -> Iterable[Any]:
    for value in scope.values():
        yield value
        if isinstance(value, (tuple, list)):
            yield from value
