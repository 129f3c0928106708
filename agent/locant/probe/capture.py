"""The bodies of the hooks of one watched module: they gather, hand over, and decide nothing."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from locant.observation import ModelProfile
from locant.probe import families as fam
from locant.probe.alibi import bias_rows, positions_from_buckets
from locant.probe.audit import rope_of
from locant.probe.caches import CacheBook, cache_length
from locant.probe.call import bind, keep_mask, parameter_names, takes_cache
from locant.probe.context import pass_context
from locant.probe.growth import GrowthWatch
from locant.probe.hooks import Guard
from locant.probe.lookups import LookupMode
from locant.probe.options import ProbeOptions
from locant.probe.passes import Pass, PassSlot, is_running
from locant.probe.references import hashes_every_pass, reference_for, to_device
from locant.probe.rotary import Reference, compare, parameters_hash, waves
from locant.probe.rows import RowRules
from locant.probe.sampling import Sampler
from locant.probe.slopes import alibi_slopes
from locant.probe.structure import Unit, inv_freq_names, text_config, unwrap
from locant.probe.timing import Stopwatch, capturing

Armer = Callable[[Any, Callable[[Any], None]], None]


@dataclass(slots=True)
class Frequency:
    """One inverse-frequency tensor: its reference, whether it may change by right, and which tensor it was last."""

    reference: Reference
    volatile: bool
    device: torch.device
    identity: tuple[int, int]


class UnitCapture:
    """Gathers the passes of one unit. `finish` takes each completed pass, on the model's thread."""

    def __init__(
        self,
        unit: Unit,
        profile: ModelProfile,
        rules: RowRules,
        options: ProbeOptions,
        guard: Guard,
        book: CacheBook,
        numbers: itertools.count[int],
        slot: PassSlot,
        finish: Callable[[UnitCapture, Pass, Any], None],
    ) -> None:
        self.unit = unit
        self.profile = profile
        self.rules = rules
        self.guard = guard
        self.growth = GrowthWatch(unit)
        self.has_config = getattr(unwrap(unit.module), "config", None) is not None
        self.changed = False
        self.spent_seconds = 0.0
        self.arm: Armer | None = None
        self.disarm: Callable[[], None] | None = None
        self._options = options
        self._book = book
        self._numbers = numbers
        self._slot = slot
        self._finish = finish
        self._names = parameter_names(unwrap(unit.module))
        self.has_cache = takes_cache(self._names)
        self.slopes, self.steepest = _slopes(unit, profile)
        self._attention = Sampler(options.attention_rate)
        self._decoding = Sampler(options.attention_rate / 4)
        self._rotary = Sampler(options.rotary_rate)
        self._frequencies = self._build_references()
        self._encodes = unit.encoder or profile.kind == fam.ENCODER
        self.causal = profile.causal and not unit.encoder

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Forward pre-hook of the unit."""
        started = time.perf_counter()
        slot = self._slot
        current = slot.current
        if current is not None and is_running(current.frame):
            current.depth += current.module is module
            return
        slot.current = None
        self._leave_mode()
        call = bind(self._names, args, kwargs)
        if capturing(call.device) or (call.device is not None and call.device.type == "meta"):
            return
        cached = cache_length(call.cache)
        cache_id, parent = self._book.identify(call.cache)
        phase = self._phase(call.queries, cached)
        state = Pass(
            number=next(self._numbers),
            module=module,
            frame=sys._getframe(2),
            call=call,
            cached=cached,
            cache_id=cache_id,
            cache_parent=parent,
            phase=phase,
            stopwatch=Stopwatch(call.device),
        )
        if not self.unit.encoder:
            state.segments, state.request_ids = slot.segments, slot.request_ids
            slot.segments, slot.request_ids = None, ()
        if self._options.trace_ids is not None:
            state.trace = self._options.trace_ids()
        self._sample(state)
        slot.current = state
        self.spent_seconds += time.perf_counter() - started

    def after(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        """Forward hook of the unit; runs also when the forward raised."""
        state = self._slot.current
        if state is None or state.module is not module:
            return
        if state.depth:
            state.depth -= 1
            return
        started = time.perf_counter()
        self._slot.current = None
        self._leave_mode()
        state.stopwatch.stop(state.call.device)
        if state.looks_at_attention and self.disarm is not None:
            self.disarm()
        self._finish(self, state, output)
        self.spent_seconds += time.perf_counter() - started

    def _phase(self, queries: int, cached: int | Tensor | None) -> str:
        if self._encodes:
            return "encode"
        occupied = isinstance(cached, Tensor) or bool(cached)
        return "decode" if queries == 1 and occupied else "prefill"

    def _sample(self, state: Pass) -> None:
        call = state.call
        if not call.batch:
            return
        length = state.cached.bit_length() if isinstance(state.cached, int) else -1
        packed = call.positions is not None
        kind = (state.phase, call.queries.bit_length(), call.batch.bit_length(), length, call.mask_rank, packed)
        state.looks_at_rotary = self._rotary.take(kind)
        sampler = self._decoding if state.phase == "decode" else self._attention
        if self.arm is not None and "attention" not in self.guard.off and (sampler.take(kind) or state.segments):
            try:
                with torch.no_grad():
                    self.arm(pass_context(state, self.rules, causal=self.causal), state.layers.append)
                state.looks_at_attention = True
            except Exception as error:
                self.guard.failed("attention", error)

    # --- positional parts, called inside a pass

    def table_indices(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of a plain table: the argument is the index."""
        state = self._slot.current
        index = args[0] if args else kwargs.get("input")
        if state is not None and state.positions is None and isinstance(index, Tensor):
            state.positions = index

    def table_opens(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of a table that computes its indices."""
        slot = self._slot
        if slot.current is not None and slot.current.positions is None and slot.mode is None:
            slot.mode = LookupMode(module)
            slot.mode.__enter__()

    def table_closes(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Forward hook of such a table, whether it raised or not."""
        state, mode = self._slot.current, self._slot.mode
        self._leave_mode()
        if state is not None and isinstance(mode, LookupMode):
            state.positions = mode.index

    def _leave_mode(self) -> None:
        mode, self._slot.mode = self._slot.mode, None
        if mode is not None:
            mode.__exit__(None, None, None)

    def buckets(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of a relative bias embedding: distance buckets [Q, K]."""
        state = self._slot.current
        if state is not None and state.positions is None and args:
            with torch.no_grad():
                state.positions = positions_from_buckets(args[0], state.call.queries)

    def bias(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of the first layer in an ALiBi family."""
        state = self._slot.current
        if state is not None and state.bias is None:
            named = kwargs.get("alibi", kwargs.get("position_bias"))
            state.bias = bias_rows(named, self.profile.heads)

    def padding(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of torch's own encoder or decoder stack: the mask that really arrives there."""
        state = self._slot.current
        given = kwargs.get("src_key_padding_mask", kwargs.get("tgt_key_padding_mask"))
        if state is not None and state.padding_mask is None and isinstance(given, Tensor) and given.dim() == 2:
            state.padding_mask = keep_mask(given)

    def rotary(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        """Forward hook of a rotary module: positions in, cos and sin out."""
        state = self._slot.current
        positions = kwargs.get("position_ids", args[1] if len(args) > 1 else None)
        if state is None or not isinstance(positions, Tensor) or positions.is_floating_point():
            return
        if state.positions is None:
            state.positions = positions
        state.rotary_seen = True
        layer_type = kwargs.get("layer_type", args[2] if len(args) > 2 else None)
        name = f"{layer_type}_inv_freq" if isinstance(layer_type, str) else "inv_freq"
        known = self._frequencies.get((id(module), name)) or self._frequencies.get((id(module), ""))
        with torch.no_grad():
            self._look_at_frequencies(state, module, known)
            found = waves(positions, output) if state.looks_at_rotary and known is not None else None
            result = compare(found, known.reference) if found is not None and known is not None else None
        if result is not None and found is not None:
            state.rotary.append(result)
            state.rotary_dtype = str(found.cos.dtype).removeprefix("torch.")

    def _look_at_frequencies(self, state: Pass, module: nn.Module, known: Frequency | None) -> None:
        """Hash the frequencies when they may change, when a pass is sampled and when the tensor is another one."""
        names = inv_freq_names(module) if known is not None else ()
        if known is None or not names or state.hashed:
            return
        tensors = [getattr(module, name) for name in names]
        identity = _identity(tensors[0])
        moved = identity != known.identity and not known.volatile
        if moved:
            known.identity = identity
            self.changed = True
        if known.volatile or moved or state.looks_at_rotary:
            state.hashed.append(parameters_hash(tensors))

    def _build_references(self) -> dict[tuple[int, str], Frequency]:
        """By (module, tensor name), and by (module, "") for the only or first tensor of a module."""
        built: dict[tuple[int, str], Frequency] = {}
        for part in self.unit.rotaries:
            for name in inv_freq_names(part.module):
                rope = rope_of(part.module, name, text_config(self.unit.module))
                held = getattr(part.module, name)
                entry = Frequency(
                    reference_for(part.module, name, rope), hashes_every_pass(rope), held.device, _identity(held)
                )
                built[id(part.module), name] = entry
                built.setdefault((id(part.module), ""), entry)
        return built


def _slopes(unit: Unit, profile: ModelProfile) -> tuple[Tensor | None, int]:
    """The published slopes on the model's device, and the head that has the steepest."""
    if profile.scheme != fam.ALIBI or not profile.heads:
        return None, 0
    published = alibi_slopes(profile.heads)
    device = next((p.device for p in unit.module.parameters()), torch.device("cpu"))
    steepest = max(range(len(published)), key=published.__getitem__)
    return to_device(torch.tensor(published, dtype=torch.float64), device), steepest


def _identity(tensor: Tensor) -> tuple[int, int]:
    """Changes when another tensor takes the place, or when this one is written to."""
    return id(tensor), 0 if tensor.is_inference() else tensor._version
