"""Attention statistics of the armed passes of one model, taken where its attention is computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from locant.observation import ModelProfile
from locant.probe.attention import seams
from locant.probe.attention.autocast import as_cast, autocast_dtype
from locant.probe.attention.contract import PassContext, Sink
from locant.probe.attention.engine import row_statistics
from locant.probe.attention.fastest import Engine
from locant.probe.attention.flex import UnreadableError
from locant.probe.attention.forms import Forms
from locant.probe.attention.functions import function_call
from locant.probe.attention.interface import kernel_call
from locant.probe.attention.kernels import kernel_targets
from locant.probe.attention.met import Met
from locant.probe.attention.modules import Member, members
from locant.probe.attention.profiler import PassProfiler, Plan
from locant.probe.effort import FULL_LAYERS, Look, attention_efforts
from locant.probe.timing import capturing


class AttentionCapture:
    """Holds the seams of a model's attention. A pass is seen on the thread that armed it, until `disarm`.

    `rows`: query rows per pass for which weights are computed. `layers`: where; None takes the first, the last and two
    in rotation. `heads`: whose heat maps take turns (None: all). What masks let through is judged in every
    layer. `on_error` hears of this part's own failures, once per pass; the model never does. `engine` computes the
    statistics.
    """

    def __init__(
        self,
        model: nn.Module,
        profile: ModelProfile,
        rows: int = 32,
        layers: tuple[int, ...] | None = None,
        heads: tuple[int, ...] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        engine: Engine = row_statistics,
    ) -> None:
        self._engine = engine
        self._forms = Forms()
        self._profile = profile
        self._rows = rows
        self._layers = layers
        self._heads = heads
        self._on_error = on_error
        self._members = members(model)
        self._model = model
        self._targets = _targets(model, profile)
        self._columns = any(isinstance(m, nn.MultiheadAttention) and not m.batch_first for m in model.modules())
        self._thread = threading.local()
        self._closed = False

    def arm(self, context: PassContext, sink: Sink, look: Look | None = None) -> None:
        """Look at the pass that this thread runs next; each layer's result goes to `sink` as it is launched.

        `look` says how closely, and is told what each layer took.
        """
        if self._closed or not self._targets or _is_compiled(self._model):
            return
        self.disarm()
        look = look or Look("attention", attention_efforts(self._rows)[0])
        plan = Plan(look.effort.rows, self._chosen(context, look), self._profile, self._heads, look.effort.maps)
        profiler = PassProfiler(context, plan, sink, self._engine, self._forms)
        recorder = _Armed(self._members, profiler, look, self._on_error, self._columns)
        seams.SEAM.hold(self._targets)
        self._thread.recorder = recorder
        seams.set_recorder(recorder)

    def disarm(self) -> None:
        """Stop looking. Does nothing when this thread is not armed."""
        recorder = getattr(self._thread, "recorder", None)
        if recorder is None:
            return
        self._thread.recorder = None
        seams.unset_recorder(recorder)
        seams.SEAM.release(self._targets)

    def close(self) -> None:
        """Look at no further pass. A second call does nothing."""
        self.disarm()
        self._closed = True

    def _chosen(self, context: PassContext, look: Look) -> frozenset[int]:
        """The first and the last layer and others in rotation; with less effort, all in rotation; every one at once."""
        turn, effort = context.pass_number, look.effort
        among = self._layers if self._layers is not None else range(max(self._profile.layers, 1))
        if look.whole:
            return frozenset(among)
        if effort.layers < FULL_LAYERS:
            return frozenset(among[(turn * effort.layers + k) % len(among)] for k in range(effort.layers))
        if self._layers is not None:
            return frozenset(self._layers)
        last, inner = among[-1], max(len(among) - 2, 1)
        rotating = {1 + (turn * (effort.layers - 2) + k) % inner for k in range(effort.layers - 2)}
        return frozenset({0, last} | rotating)


class _Armed:
    """One armed pass: turns what the seams meet into calls for the profiler. Never raises."""

    def __init__(
        self,
        found: dict[int, Member],
        profiler: PassProfiler,
        look: Look,
        on_error: Callable[[Exception], None] | None,
        columns: bool,
    ) -> None:
        self._columns = columns
        self._members = found
        self._profiler: PassProfiler | None = profiler
        self._look = look
        self._on_error = on_error
        self._order = 0
        self._told: tuple[Any, PassProfiler] | None = None

    def interface(
        self, implementation: str, module: nn.Module, query: Tensor, key: Tensor, mask: Any, **more: Any
    ) -> None:
        """See `seams.Recorder`. Modules of other models, cross attention and vision towers are passed over."""
        member = self._members.get(id(module))
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

    def _profiler_of(self, met: Met, profiler: PassProfiler) -> PassProfiler:
        """The pass's own profiler, or one for a context that a kernel was told; layers are mostly told the same."""
        if met.told is None:
            return profiler
        if self._told is None or not _same(self._told[0], met.told):
            self._told = met.told, profiler.in_context(met.context)
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


def _targets(model: nn.Module, profile: ModelProfile) -> Sequence[seams.Target]:
    """Where this model's attention can be met. Nowhere if a call does not say whether it is self or cross attention.

    Nor in compiled models: their graphs hold the kernels, and a replaced function would have them built anew.
    """
    if any(_is_compiled(module) for module in model.modules()):
        return ()
    if seams.uses_interface(model):
        return seams.interface_targets()
    if profile.kind == "encoder_decoder" or any(isinstance(m, nn.TransformerDecoderLayer) for m in model.modules()):
        return ()
    return (*seams.function_targets(), *kernel_targets(model))


def _is_compiled(module: nn.Module) -> bool:
    return hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
