"""A stream passed through unchanged, counted on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def counted(chunks: Iterable[T], done: Callable[[int, str], None]) -> Iterator[T]:
    """Yields what `chunks` yields; `done(count, error class name or "")` is called once, however the stream ends.

    A consumer that leaves early ends the stream without an error.
    """
    count, error = 0, ""
    try:
        for chunk in chunks:
            count += 1
            yield chunk
    except GeneratorExit:
        raise
    except BaseException as failure:
        error = type(failure).__name__
        raise
    finally:
        done(count, error)
