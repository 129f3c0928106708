"""A mark on the current thread's work that says: these passes are no traffic, do not observe them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_EXCLUDED: ContextVar[bool] = ContextVar("locant_excluded", default=False)


@contextmanager
def excluded() -> Iterator[None]:
    """While it lasts, forward passes on this thread (or asyncio task) are invisible to every probe.

    The canary asks its questions under it, so that they count in no traffic metric; other threads are observed as ever.
    """
    token = _EXCLUDED.set(True)
    try:
        yield
    finally:
        _EXCLUDED.reset(token)


def is_excluded() -> bool:
    """Whether the pass that starts now is to be left out."""
    return _EXCLUDED.get()
