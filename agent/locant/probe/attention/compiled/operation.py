"""The operation that stands after an attention call in an observed graph: it shows the call to the armed pass."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from locant.probe.attention import seams
from locant.probe.attention.autocast import cast
from locant.probe.passes import is_recomputed

_LAYOUTS = ("needs_exact_strides", "needs_fixed_stride_order")
"""The compiler must hand over what the kernel reads, not lay it out anew: another layout is other code before it."""


@functools.cache
def operation() -> Any:
    """`locant::attention(site, given, numbers)`: returns nothing, changes nothing, has no gradient.

    It is not optimised away, and is no part of a CUDA graph: what it looks at changes from pass to pass.
    """
    library = _library()
    library.define("attention(str site, Tensor[] given, float[] numbers) -> ()", tags=_tags())
    library.impl("attention", _show, "CompositeExplicitAutograd")
    library.impl("attention", _show_nothing, "Meta")
    for kind in ("cpu", "cuda"):
        library.impl("attention", _under_autocast(kind), f"Autocast{kind.upper()}")
    made = torch.ops.locant.attention.default
    torch.fx.node.has_side_effect(made)
    return made


@functools.cache
def _library() -> Any:
    """Kept for the life of the process: compiled graphs, also such that lie in a cache, refer to what it defines."""
    make: Any = torch.library.Library
    return make("locant", "FRAGMENT")


def _tags() -> tuple[torch.Tag, ...]:
    """Those that this torch knows: one for the layout, and that a CUDA graph must leave it out."""
    layout = [getattr(torch.Tag, name) for name in _LAYOUTS if hasattr(torch.Tag, name)][:1]
    return (*layout, *(getattr(torch.Tag, name) for name in ("cudagraph_unsafe",) if hasattr(torch.Tag, name)))


def _show(site: str, given: Sequence[Tensor], numbers: Sequence[float]) -> None:
    """The compiler repeats it in the backward graph, whose inputs are the saved queries and keys: that is no call."""
    if is_recomputed():
        return
    with seams.aside() as recorder:
        if recorder is not None:
            recorder.graph(site, given, numbers)


def _show_nothing(site: str, given: Sequence[Tensor], numbers: Sequence[float]) -> None:
    """While a graph is traced."""


def _under_autocast(kind: str) -> Callable[[str, Sequence[Tensor], Sequence[float]], None]:
    """The kernel multiplies what autocast makes of its arguments: that is shown, and computed once for both."""
    keys: Any = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, f"Autocast{kind.upper()}"))

    def show(site: str, given: Sequence[Tensor], numbers: Sequence[float]) -> None:
        dtype = torch.get_autocast_dtype(kind)
        with torch._C._ExcludeDispatchKeyGuard(keys):
            operation()(site, [cast(tensor, dtype) for tensor in given], numbers)

    return show
