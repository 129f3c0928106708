"""What is done about keys on the model's thread: remember the newest, and choose the passes that are compared."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from locant.observation import ModelProfile
from locant.probe import families as fam
from locant.probe.call import Call
from locant.probe.effort import Interest
from locant.probe.keys.sighting import Sighting
from locant.probe.keys.tail import CACHES, SLOTS, Tail, cut, filled, first_rotating_layer, stored_keys
from locant.probe.keys.trust import Stock
from locant.probe.passes import Pass
from locant.probe.sampling import Sampler
from locant.probe.structure import Unit, text_config, unwrap

_BREAK_SHARE = 0.125
_FIRST_BREAKS = 16.0


class KeyReader:
    """Keeps the tails of the last caches of one unit.

    Compared are, where that needs a copy from the device, a share `rate` of the passes, and besides those before which
    a cache was shortened or lengthened: the first sixteen, then at most one pass in eight. On the CPU all are.
    """

    def __init__(self, unit: Unit, profile: ModelProfile, rate: float) -> None:
        model = unwrap(unit.module)
        rotating = profile.scheme in (fam.ROPE, fam.MROPE) and not unit.encoder and rate > 0
        config = text_config(model)
        self._layer = first_rotating_layer(config) if rotating and config is not None else None
        self._stock = Stock(model, self._layer)
        self._tails: dict[int, Tail] = {}
        self._sampler = Sampler(rate)
        self._breaks = _FIRST_BREAKS

    def read(self, state: Pass, cache: Any) -> None:
        """After a pass: compare if its turn has come, and remember."""
        if self._layer is None or not state.cache_id or cache is None:
            return
        tails, call, cached = self._tails, state.call, state.cached
        before = tails.pop(state.cache_id, None) or tails.get(state.cache_parent)
        layer = self._stock.layer_of(cache)
        stored = stored_keys(layer) if layer is not None else None
        if stored is None or cached is None or _elsewhere(stored[0], cache, call):
            return
        (keys, shape), queries = stored, call.queries
        end = filled(shape[2], cached, queries)
        tokens = cached + queries if isinstance(cached, int) else None
        slots = min(SLOTS, end) if isinstance(end, int) else SLOTS
        tail = Tail(state.number, tokens, slots, cut(keys, shape, end, SLOTS))
        state.keys_seen = True
        if before is not None and self._takes(state, before):
            state.sighting = _look(state, before, tail, stored, end)
        tails[state.cache_id] = tail
        while len(tails) > CACHES:
            tails.pop(next(iter(tails)), None)

    def _takes(self, state: Pass, before: Tail) -> bool:
        cached = state.cached
        if isinstance(cached, int) and cached == 0:
            return False
        if before.keys.is_cpu:
            return True
        self._breaks = min(self._breaks + _BREAK_SHARE, _FIRST_BREAKS)
        if isinstance(cached, int) and before.tokens is not None and cached != before.tokens and self._breaks >= 1:
            self._breaks -= 1
            return True
        if self._sampler.ask(state.kind) is Interest.NONE:
            return False
        self._sampler.took(state.kind)
        return True


def _look(
    state: Pass, before: Tail, tail: Tail, stored: tuple[Tensor, torch.Size], end: int | Tensor
) -> Sighting | None:
    queries = state.call.queries
    if queries < tail.slots:
        return Sighting(before, tail.keys, tail.slots - queries - 1)
    if isinstance(end, int) and end <= queries:
        return None
    return Sighting(before, cut(*stored, end - queries, 1), 0)


def _elsewhere(keys: Tensor, cache: Any, call: Call) -> bool:
    """On their way between host and device: what lies there may be half written."""
    if call.on_host:
        return not keys.is_cpu
    device = call.device
    return bool(getattr(cache, "offloading", False)) or device is None or keys.device.type != device.type
