"""What a pass does that can be counted on any machine: operations of torch, and calls of functions."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Counts:
    """Of one call: operations by name, calls of Python functions and of C functions made from Python."""

    operations: Counter[str]
    python_calls: int
    c_calls: int

    def beyond(self, bare: Counts) -> Counts:
        """What is more here than there."""
        return Counts(
            self.operations - bare.operations, self.python_calls - bare.python_calls, self.c_calls - bare.c_calls
        )


class _Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found[func.name().removeprefix("aten::")] += 1
        return func(*args, **(kwargs or {}))


def operations_of(step: Callable[[], object]) -> Counter[str]:
    """Operations of torch in one call of `step`, by name."""
    with _Operations() as mode:
        step()
    return mode.found


def counts_of(step: Callable[[], object]) -> Counts:
    """The counts of one call of `step`; it is called twice."""
    operations = operations_of(step)
    calls: Counter[str] = Counter()
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: calls.update((event,)))
    try:
        step()
    finally:
        sys.setprofile(before)
    return Counts(operations, calls["call"], calls["c_call"])
