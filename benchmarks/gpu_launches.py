"""What a pass that is not looked at asks of a GPU: operations launched, events recorded, streams made to wait."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.pass_counts import operations_of

WITHOUT_KERNELS = frozenset(
    ("view", "reshape", "detach", "empty", "as_strided", "expand", "unsqueeze", "slice", "alias")
)


def launches(step: Callable[[], object]) -> Counter[str]:
    """Of one call of `step`: operations that launch something, by name, and what is asked of events and streams."""
    with _calls() as asked:
        operations = operations_of(step)
    kernels = {n: count for n, count in operations.items() if n.partition(".")[0] not in WITHOUT_KERNELS}
    return Counter(kernels) + asked


@contextmanager
def _calls() -> Iterator[Counter[str]]:
    """Counts of the calls that are made inside."""
    asked: Counter[str] = Counter()
    if not torch.cuda.is_available():
        yield asked
        return
    watched: tuple[tuple[Any, str], ...] = (
        (torch.cuda.Event, "record"), (torch.cuda.Stream, "wait_event"), (torch.cuda.Stream, "wait_stream"),
        (torch.cuda, "current_stream"),
    )  # fmt: skip
    kept = [(owner, name, getattr(owner, name)) for owner, name in watched]
    for owner, name, original in kept:
        setattr(owner, name, _counted(asked, name, original))
    try:
        yield asked
    finally:
        for owner, name, original in kept:
            setattr(owner, name, original)


def _counted(asked: Counter[str], name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:
        asked[name] += 1
        return original(*args, **kwargs)

    return counted
