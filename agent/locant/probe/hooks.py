"""Hooks that can do no harm: guarded, invisible to the compiler, left behind when the model is copied or pickled."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

_TOLERATED = 5


class Guard:
    """Counts the probe's own errors by signal and switches off what keeps failing. `strict` raises them instead."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self.errors: Counter[str] = Counter()
        self.off: set[str] = set()

    def failed(self, signal: str, error: Exception) -> None:
        """Take note of an error in the part that sees `signal`; after a few the part is off for good."""
        self.errors[signal] += 1
        if self.errors[signal] >= _TOLERATED:
            self.off.add(signal)
        if self._strict:
            raise error


class Hook:
    """A hook body under guard. A copy of the model carries an inert callable in its place, from the standard library,
    so that it loads where Locant is not installed."""

    __slots__ = ("body", "guard", "signal")

    def __init__(self, body: Callable[..., None], guard: Guard, signal: str) -> None:
        self.body = body
        self.guard = guard
        self.signal = signal

    def __call__(self, *arguments: Any) -> None:
        if torch.compiler.is_compiling() or self.signal in self.guard.off:
            return
        try:
            self.body(*arguments)
        except Exception as error:
            self.guard.failed(self.signal, error)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (contextlib.nullcontext(), "__exit__")
