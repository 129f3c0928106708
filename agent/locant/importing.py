"""Do something once, right after a module was imported, without importing it."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

Then = Callable[[ModuleType], None]


def after_import(name: str, then: Then) -> Callable[[], None]:
    """Call `then` with module `name`: now when it is there already, else when somebody imports it. Returns an undo."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        then(loaded)
        return lambda: None
    finder = _Finder(name, then)
    sys.meta_path.insert(0, finder)
    return finder.leave


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the others find the module and hands out their answer with a loader around theirs."""

    def __init__(self, name: str, then: Then) -> None:
        self._name = name
        self._then = then

    def leave(self) -> None:
        """Watch for imports no longer."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The real spec, for the one module that is waited for."""
        if name != self._name:
            return None
        self.leave()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, self._then)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    """The module's own loader, and `then` after it."""

    def __init__(self, real: importlib.abc.Loader, then: Then) -> None:
        self._real = real
        self._then = then

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the real one does."""
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, give it its own loader back, and go on with `then`."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._real
        module.__loader__ = self._real
        self._real.exec_module(module)
        self._then(module)
