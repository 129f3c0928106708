"""What an armed pass does with the attention calls it meets: it makes them readable and hands them to the profiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from locant.probe.attention.autocast import as_cast, autocast_dtype
from locant.probe.attention.calls import Attention, KernelCall
from locant.probe.attention.compiled.site import read
from locant.probe.attention.flex import UnreadableError
from locant.probe.attention.functions import function_call
from locant.probe.attention.interface import kernel_call
from locant.probe.attention.met import TURNED, Met
from locant.probe.attention.modules import OwnAttention
from locant.probe.attention.profiler import PassProfiler
from locant.probe.effort import Look
from locant.probe.timing import capturing


class Armed:
    """One armed pass: turns what the seams meet into calls for the profiler. Never raises."""

    def __init__(
        self,
        own: OwnAttention,
        profiler: PassProfiler,
        look: Look,
        on_error: Callable[[Exception], None] | None,
        columns: bool,
    ) -> None:
        self._columns = columns
        self._own = own
        self._profiler: PassProfiler | None = profiler
        self._look = look
        self._on_error = on_error
        self._order = 0
        self._told: tuple[Any, PassProfiler] | None = None

    def interface(
        self, implementation: str, module: nn.Module, query: Tensor, key: Tensor, mask: Any, **more: Any
    ) -> None:
        """See `seams.Recorder`. Modules of other models, cross attention and vision towers are passed over."""
        member = self._own.members.get(id(module))
        profiler = self._profiler
        if member is None or member.cross or profiler is None or capturing(query.device):
            return
        context = profiler.context
        if query.dim() != 4 or query.shape[0] != context.batch or query.shape[2] != context.queries:
            return
        lowered = autocast_dtype(query.device)
        with self._apart(query):
            try:
                call = kernel_call(implementation, module, query, key, mask, more)
                if call is not None:
                    shape = (id(mask), call.diagonal, call.window, more.get("sliding_window"))
                    seen = as_cast(call, lowered) if member.layer in profiler.plan.layers else call
                    profiler.look(member.layer, seen, module, shape, mask)
            except UnreadableError:
                return
            except Exception as error:
                self._failed(error)

    def function(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """See `seams.Recorder`. Layers are numbered in the order of their calls."""
        profiler = self._profiler
        if profiler is None:
            return
        first = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        if first is not None and capturing(first.device):
            return
        lowered = autocast_dtype(first.device) if first is not None else None
        with self._apart(first):
            try:
                heads = profiler.plan.profile.heads
                met = function_call(name, args, kwargs, profiler.context, heads, columns=self._columns)
                if met is not None:
                    self._order += 1
                    self._profiler_of(met, profiler).look(self._order - 1, as_cast(met.call, lowered), None, None, None)
            except UnreadableError:
                return  # no error of ours: the layer stays unseen, as the pass's coverage says
            except Exception as error:
                self._failed(error)

    def graph(self, site: str, given: Sequence[Tensor], numbers: Sequence[float]) -> None:
        """See `seams.Recorder`. Autocast has been there before."""
        profiler, first = self._profiler, given[0] if given else None
        if profiler is None or first is None or capturing(first.device):
            return
        with self._apart(first):
            try:
                place = read(site)
                args, kwargs = place.call(given, numbers)
                heads = profiler.plan.profile.heads
                met = function_call(place.function, args, kwargs, profiler.context, heads, columns=self._columns)
                if met is None:
                    return
                layer, module = self._own.layer(place.layer, self._order)
                shape = (place.mask, *_mask_and_diagonal(met.call)) if module is not None else None
                self._profiler_of(met, profiler).look(layer, met.call, module, shape, given)
                self._order += 1
            except Exception as error:
                self._failed(error)

    def _profiler_of(self, met: Met, profiler: PassProfiler) -> PassProfiler:
        """The pass's own profiler, or one for a context that a kernel was told; layers are mostly told the same."""
        if met.told is None:
            return profiler
        if self._told is None or not _same(self._told[0], met.told):
            self._told = met.told, profiler.in_context(met.context, turned=met.told is TURNED)
        return self._told[1]

    @contextmanager
    def _apart(self, tensor: Tensor | None) -> Iterator[None]:
        """Timed, and outside autograd and autocast, whatever the model runs under."""
        device = tensor.device if tensor is not None else torch.device("cpu")
        with self._look.running(device), torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield

    def _failed(self, error: Exception) -> None:
        self._profiler = None
        if self._on_error is not None:
            self._on_error(error)


def _same(one: Any, other: Any) -> bool:
    """Whether a kernel was told the same: the same tensor, whose numbers nobody reads, or an equal number."""
    return one is other or (isinstance(one, int) and isinstance(other, int) and one == other)


def _mask_and_diagonal(call: Attention) -> tuple[int, int | None]:
    """Where a call's mask lies, and its diagonal: one graph may be called for layers with several masks."""
    if not isinstance(call, KernelCall):
        return 0, None
    return call.mask.data_ptr() if call.mask is not None else 0, call.diagonal
