"""A pass that is over: what must be kept of it, the last thing done on the model's thread."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from locant.probe.alibi import measure
from locant.probe.caches import CacheBook, cache_bytes, returned_cache
from locant.probe.capture import UnitCapture
from locant.probe.gather import gather, row_inputs, travels_raw
from locant.probe.keys.sighting import Sighting, shown
from locant.probe.passes import Pass
from locant.probe.reduced import Wanted, reduced
from locant.probe.references import to_device
from locant.probe.row_inputs import RowInputs
from locant.probe.transfer import Shipment, attention_tensors

_AS_IT_IS = contextlib.nullcontext()


@dataclass(slots=True)
class Finished:
    """One pass, waiting for the device and for the agent's thread. Made for every pass: what can wait does.

    `inputs`: what its rows were reduced from at once; None where the inputs travel raw, or there are none. `tensors`
    are on the host already, the `shipment` is on its way. `lost`: the device failed, only the host's facts are left.
    `number`: its place among the passes that ended, those included that had been dropped by then (`dropped_before`).
    """

    capture: UnitCapture
    state: Pass
    time: float
    error: str
    inputs: RowInputs | None
    tensors: dict[str, Tensor]
    shipment: Shipment | None
    growths: tuple[tuple[int, int], ...]
    positional_bytes: int
    cache_bytes: int
    lost: bool = field(default=False, init=False)
    dropped_before: int = field(default=0, init=False)
    number: int = field(default=0, init=False)

    @property
    def ready(self) -> bool:
        """Whether everything has arrived."""
        clock = self.state.clock
        return (clock is None or clock.ready) and (self.shipment is None or self.shipment.arrived)

    def arrive(self) -> dict[str, Tensor]:
        """Everything that was sent, on the host."""
        found = {**self.tensors, **self.shipment.arrive()} if self.shipment is not None else self.tensors
        sighting = self.state.sighting
        return {**sighting.tensors(), **found} if sighting is not None and "keys.now" not in found else found

    def arrived_inputs(self, arrived: Mapping[str, Tensor]) -> RowInputs | None:
        """What the rows are made from; None for a call without tokens, and where the device lost them."""
        if self.lost:
            return None
        return self.inputs if self.inputs is not None else row_inputs(self.state, arrived)


def finish(capture: UnitCapture, state: Pass, output: Any, book: CacheBook, time: float) -> Finished:
    """Keep what is needed of a pass, and nothing of the model's. Launches device work, waits for none."""
    call, error = state.call, _raised(output)
    returned = returned_cache(output)
    cache = call.cache if call.cache is not None else returned
    if state.cache_id == 0:
        if cache is not None:
            state.cache_id, state.cache_parent = book.identify(cache)
    elif returned is not call.cache:
        book.inherit(returned, state.cache_id)
    if capture.unit.encoder:
        capture.memory.remember(output, call.mask)
    with torch.no_grad() if torch.is_grad_enabled() else _AS_IT_IS:
        _keys(capture, state, cache, error)
        inputs, tensors = _tensors(capture, state)
        shipment = _ship(state, tensors)
    done = Finished(
        capture=capture,
        state=state,
        time=time,
        error=error,
        inputs=inputs,
        tensors=tensors if shipment is None else {},
        shipment=shipment,
        growths=capture.growth.look(),
        positional_bytes=capture.growth.bytes,
        cache_bytes=cache_bytes(cache) if cache is not None else 0,
    )
    state.let_go()
    return done


def _keys(capture: UnitCapture, state: Pass, cache: Any, error: str) -> None:
    """A pass that raised may have left half of its keys: they are not read."""
    if error or "keys" in capture.guard.off:
        return
    try:
        capture.keys.read(state, cache)
    except Exception as failure:
        capture.guard.failed("keys", failure)


def _raised(output: Any) -> str:
    """Class name of the exception that is leaving the forward; "" when it returned."""
    kind = sys.exc_info()[0] if output is None else None
    return kind.__name__ if kind is not None else ""


def _tensors(capture: UnitCapture, state: Pass) -> tuple[RowInputs | None, dict[str, Tensor]]:
    """The inputs of rows that are reduced at once, and what has to travel, by name."""
    named, inputs = gather(capture, state), None
    if not travels_raw(state.call, named):
        inputs = row_inputs(state, named)
        assert inputs is not None
        named = reduced(inputs, capture.rules, Wanted(state.attention_look is not None, state.is_whole))
    if state.sighting is not None:
        named |= _keys_shown(state, state.sighting, named)
    if state.layers:
        named |= attention_tensors(state.layers)
    if state.rotary:
        named["rotary"] = torch.stack(state.rotary).amax(0)
    if state.hashed:
        named["hash"] = state.hashed[0]
    if state.bias is not None and state.rotary_look is not None and capture.slopes is not None:
        named["bias"] = _bias(capture, state, state.bias, capture.slopes)
    if state.wrong_buckets is not None:
        named["buckets"] = state.wrong_buckets
    memory = state.open_memory
    if capture.masks_memory:
        memory = capture.memory.open_pads(state.call.memory, state.call.memory_mask)
    if memory is not None:
        named["memory"] = memory
    return inputs, named


def _keys_shown(state: Pass, sighting: Sighting, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys that must travel, and the mask beside them where it does not."""
    found = {} if sighting.on_host else sighting.tensors()
    columns = shown(state.call, state.cached, state.call.mask) if "mask" not in named else ()
    return {**found, "keys.shown": torch.cat(columns)} if columns else found


def _ship(state: Pass, tensors: dict[str, Tensor]) -> Shipment | None:
    """On their way, where any of them is not on the host; the clock stops when all is launched."""
    if all(tensor.is_cpu for tensor in tensors.values()):
        if state.clock is not None:
            state.clock.stop()
        return None
    return Shipment(tensors, state.clock)


def _bias(capture: UnitCapture, state: Pass, bias: Tensor, slopes: Tensor) -> Tensor:
    kept = state.call.mask != 0 if state.call.mask is not None else None
    slopes = slopes if slopes.device == bias.device else to_device(slopes, bias.device)
    kept = kept if kept is None or kept.device == bias.device else to_device(kept, bias.device)
    state.rotary_dtype = str(bias.dtype).removeprefix("torch.")
    return measure(bias, slopes, capture.steepest, kept)
