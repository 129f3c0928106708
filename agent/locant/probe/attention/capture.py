"""Attention statistics of the armed passes of one model, taken where its attention is computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import nn

from locant.observation import ModelProfile
from locant.probe.attention import seams
from locant.probe.attention.armed import Armed
from locant.probe.attention.contract import PassContext, Sink
from locant.probe.attention.engine import row_statistics
from locant.probe.attention.fastest import Engine
from locant.probe.attention.forms import Forms
from locant.probe.attention.kernels import kernel_targets
from locant.probe.attention.modules import own_attention
from locant.probe.attention.profiler import PassProfiler, Plan
from locant.probe.compiled import in_compiled_call
from locant.probe.effort import FULL_LAYERS, Look, attention_efforts

if TYPE_CHECKING:
    from locant.probe.attention.compiled.graphs import ModelGraphs


class AttentionCapture:
    """Holds the seams of a model's attention. A pass is seen on the thread that armed it, until `disarm`.

    `rows`: query rows per pass for which weights are computed. `layers`: where; None takes the first, the last and two
    in rotation. `heads`: whose heat maps take turns (None: all). What masks let through is judged in every
    layer. `on_error` hears of this part's own failures, once per pass; the model never does. `engine` computes the
    statistics. `graphs`: the observed graphs of a compiled model; without any, its compiled passes are not seen.
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
        graphs: ModelGraphs | None = None,
    ) -> None:
        self._engine = engine
        self._forms = Forms()
        self._profile = profile
        self._rows = rows
        self._layers = layers
        self._heads = heads
        self._on_error = on_error
        self._graphs = graphs
        self._modules = tuple(model.modules())
        self._own = own_attention(model, named=seams.uses_interface(model))
        self._targets = _targets(model, profile)
        self._columns = getattr(model, "config", None) is None
        self._thread = threading.local()
        self._closed = False

    def arm(self, context: PassContext, sink: Sink, look: Look | None = None) -> None:
        """Look at the pass that this thread runs next; each layer's result goes to `sink` as it is launched.

        `look` says how closely, and is told what each layer took.
        """
        if self._closed or not self._targets:
            return
        compiled = in_compiled_call() or any(_is_compiled(module) for module in self._modules)
        if compiled and (self._graphs is None or not self._graphs.in_use()):
            return
        self.disarm()
        look = look or Look("attention", attention_efforts(self._rows)[0])
        plan = Plan(look.effort.rows, self._chosen(context, look), self._profile, self._heads, look.effort.maps)
        profiler = PassProfiler(context, plan, sink, self._engine, self._forms)
        recorder = Armed(self._own, profiler, look, self._on_error, self._columns)
        self._thread.held = () if compiled else self._targets
        seams.SEAM.hold(self._thread.held)
        self._thread.recorder = recorder
        seams.set_recorder(recorder)

    def disarm(self) -> None:
        """Stop looking. Does nothing when this thread is not armed."""
        recorder = getattr(self._thread, "recorder", None)
        if recorder is None:
            return
        self._thread.recorder = None
        seams.unset_recorder(recorder)
        seams.SEAM.release(self._thread.held)

    def close(self) -> None:
        """Look at no further pass. A second call does nothing."""
        self.disarm()
        self._closed = True
        if self._graphs is not None:
            self._graphs.close()

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


def _targets(model: nn.Module, profile: ModelProfile) -> Sequence[seams.Target]:
    """Where this model's attention can be met. Nowhere if a call does not say whether it is self or cross attention."""
    if seams.uses_interface(model):
        return seams.interface_targets()
    if profile.kind == "encoder_decoder" or any(isinstance(m, nn.TransformerDecoderLayer) for m in model.modules()):
        return ()
    return (*seams.function_targets(), *kernel_targets(model))


def _is_compiled(module: nn.Module) -> bool:
    """Whether calls of a module run a graph. Seams stay away from it: a replaced function would have it built anew."""
    return module._compiled_call_impl is not None or "_orig_mod" in module._modules
