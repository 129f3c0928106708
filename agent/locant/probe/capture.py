"""The bodies of the hooks of one watched module: they gather, hand over, and decide nothing."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from locant.observation import ModelProfile
from locant.probe import families as fam
from locant.probe.attention.contract import LayerStatistics, PassContext
from locant.probe.axes import Axes
from locant.probe.caches import CacheBook, cache_length
from locant.probe.call import Call, bind, parameter_names, takes
from locant.probe.compiled import in_compiled_model, is_wrapper
from locant.probe.context import pass_context
from locant.probe.device_clock import ClosingTimes, DeviceClock
from locant.probe.effort import Look
from locant.probe.estimates import Kind
from locant.probe.exclude import is_excluded
from locant.probe.governor import Governor
from locant.probe.growth import GrowthWatch
from locant.probe.hooks import Guard
from locant.probe.keys.follow import KeyFollower
from locant.probe.keys.reader import KeyReader
from locant.probe.looks import Looks
from locant.probe.memory import EncoderMemory
from locant.probe.options import ProbeOptions
from locant.probe.parts import PartHooks
from locant.probe.passes import Pass, PassSlot, is_recomputed, is_running
from locant.probe.references import steady_frequencies, to_device
from locant.probe.row_inputs import RowRules
from locant.probe.slopes import alibi_slopes
from locant.probe.structure import Unit, text_config, unwrap
from locant.probe.timing import capturing
from locant.probe.wishes import Wishes

Armer = Callable[[PassContext, Callable[[LayerStatistics], None], Look], None]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the units of one model have in common."""

    guard: Guard
    book: CacheBook
    numbers: itertools.count[int]
    slot: PassSlot
    governor: Governor
    memory: EncoderMemory
    wishes: Wishes
    timer: Callable[[], float] = time.perf_counter


class UnitCapture:
    """Gathers the passes of one unit. `finish` takes each completed pass, on the model's thread."""

    def __init__(
        self,
        unit: Unit,
        profile: ModelProfile,
        rules: RowRules,
        options: ProbeOptions,
        shared: Shared,
        finish: Callable[[UnitCapture, Pass, Any], None],
    ) -> None:
        self.unit = unit
        self.profile = profile
        self.rules = rules
        self.guard = shared.guard
        self.governor = shared.governor
        self.parts = PartHooks(unit, profile, shared.slot, shared.memory)
        self.memory = shared.memory
        self.growth = GrowthWatch(unit)
        self.closing_times = ClosingTimes()
        self.keys = KeyReader(unit, profile, options.key_rate)
        self.key_follower = KeyFollower(lambda: steady_frequencies(unit), several_axes=profile.scheme == fam.MROPE)
        self.has_config = text_config(unit.module) is not None
        self.axes = Axes()
        self.causal = profile.causal and not unit.encoder
        self.two_way = profile.family in fam.FAMILIES.keys() - fam.LOOKING_BACK and (
            unit.encoder or profile.kind == fam.ENCODER
        )
        self.arm: Armer | None = None
        self.disarm: Callable[[], None] | None = None
        self.sees_graphs: Callable[[], bool] = _never
        self._options = options
        self._shared = shared
        self._slot = shared.slot
        self._finish = finish
        self._names = parameter_names(unwrap(unit.module))
        self.has_cache = takes(self._names, "cache")
        self.masks_memory = takes(self._names, "memory_mask")
        self.takes_start = takes(self._names, "start")
        self.slopes, self.steepest = _slopes(unit, profile)
        self._timer = shared.timer
        self.looks = Looks(options, shared.governor, shared.timer, profile.layers, shared.wishes)
        self._encodes = unit.encoder or profile.kind == fam.ENCODER

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Forward pre-hook of the unit."""
        opened, slot = self._timer(), self._slot
        current = slot.current
        if current is not None:
            if current.frame is not None and is_running(current.frame):
                current.depth += current.module is module
                return
            slot.current = None
        if slot.mode is not None:
            slot.close_mode()
        if is_excluded() or is_recomputed():
            return
        call = bind(self._names, args, kwargs)
        device = None if call.on_host else call.device
        if device is not None and (device.type == "meta" or capturing(device)):
            return
        state = self._open(module, call, _caller())
        state.opened = opened
        if in_compiled_model() or module._compiled_call_impl is not None:
            state.compiled = True
        if self._options.trace_ids is not None:
            state.trace = self._options.trace_ids()
        self._choose_looks(state)
        if state.looks:
            state.armed_seconds = sum(look.host_seconds for look in state.looks)
        slot.current = state
        if device is not None and device.type == "cuda":
            state.clock = DeviceClock(device)
        state.started = self._timer()

    def _open(self, module: nn.Module, call: Call, frame: FrameType) -> Pass:
        cached: int | Tensor | None = 0
        cache_id = parent = 0
        if call.cache is not None:
            cached = cache_length(call.cache)
            cache_id, parent = self._shared.book.identify(call.cache)
        phase = self._phase(call.queries, cached)
        segments, request_ids = (None, ()) if self.unit.encoder else self._slot.take_declared()
        return Pass(
            number=next(self._shared.numbers),
            module=module,
            frame=frame,
            call=call,
            cached=cached,
            cache_id=cache_id,
            cache_parent=parent,
            phase=phase,
            kind=_kind(call, phase, cached, declared=segments is not None),
            segments=segments,
            request_ids=request_ids,
        )

    def after(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        """Forward hook of the unit; runs also when the forward raised."""
        slot = self._slot
        state = slot.current
        if state is None or state.module is not module:
            return
        if state.depth:
            state.depth -= 1
            return
        state.stopped = self._timer()
        slot.current = None
        if slot.mode is not None:
            slot.close_mode()
        if state.attention_look is not None and self.disarm is not None:
            self.disarm()
            self.looks.seen(state)
        state.covers_attention = self.looks.covers(state) and (not state.compiled or self.sees_graphs())
        self._finish(self, state, output)

    def _phase(self, queries: int, cached: int | Tensor | None) -> str:
        if self._encodes:
            return "encode"
        occupied = isinstance(cached, Tensor) or bool(cached)
        return "decode" if queries == 1 and occupied else "prefill"

    def _choose_looks(self, state: Pass) -> None:
        """Look closely where the samplers want it and the governor allows it."""
        if not state.call.batch:
            return
        state.rotary_look = self.looks.at_rotary(state)
        if self.arm is None or "attention" in self.guard.off or (state.compiled and not self.sees_graphs()):
            return
        look = self.looks.at_attention(state)
        if look is None:
            return
        try:
            with look.running(state.call.device), torch.no_grad():
                context = pass_context(state, self.rules, causal=self.causal, two_way=self.two_way)
                layers: list[LayerStatistics] = []
                state.layers = layers
                self.arm(context, layers.append, look)
            state.attention_look = look
        except Exception as error:
            self.guard.failed("attention", error)


def _kind(call: Call, phase: str, cached: int | Tensor | None, *, declared: bool) -> Kind:
    """What the samplers tell passes apart by."""
    length = cached.bit_length() if isinstance(cached, int) else -1
    queries, batch = call.queries.bit_length(), call.batch.bit_length()
    return phase, queries, batch, length, call.mask_rank, call.numbered, declared


def _never() -> bool:
    return False


def _caller() -> FrameType:
    """The frame that called the hook and lasts as long as the pass, unlike what the compiler puts around a hook."""
    frame = sys._getframe(3)
    while is_wrapper(frame.f_code) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _slopes(unit: Unit, profile: ModelProfile) -> tuple[Tensor | None, int]:
    """The published slopes on the model's device, and the head that has the steepest."""
    if profile.scheme != fam.ALIBI or not profile.heads:
        return None, 0
    published = alibi_slopes(profile.heads)
    device = next((p.device for p in unit.module.parameters()), torch.device("cpu"))
    steepest = max(range(len(published)), key=published.__getitem__)
    return to_device(torch.tensor(published, dtype=torch.float64), device), steepest
