"""What is done about keys on the model's thread: remember the newest, and choose the passes that are compared."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from locant.observation import ModelProfile
from locant.probe import families as fam
from locant.probe.effort import Interest
from locant.probe.keys.sighting import Sighting
from locant.probe.keys.tail import CACHES, SLOTS, Tail, column, cut, filled, first_rotating_layer, stored_keys
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
        before = self._tails.pop(state.cache_id, None) or self._tails.get(state.cache_parent)
        keys = stored_keys(cache, self._layer) if self._stock.keeps_what_it_was_given(cache) else None
        if keys is None or state.cached is None or _elsewhere(keys, cache, state):
            return
        cached, queries = state.cached, state.call.queries
        end = filled(keys, cached, queries)
        tail = Tail(state.number, cached + queries if isinstance(cached, int) else None, cut(keys, end, SLOTS))
        state.keys_seen = True
        if before is not None and self._takes(state, before):
            state.sighting = _look(state, before, tail, keys, end)
        self._tails[state.cache_id] = tail
        while len(self._tails) > CACHES:
            self._tails.pop(next(iter(self._tails)), None)

    def _takes(self, state: Pass, before: Tail) -> bool:
        cached = state.cached
        if isinstance(cached, int) and cached == 0:
            return False
        if before.keys.device.type == "cpu":
            return True
        self._breaks = min(self._breaks + _BREAK_SHARE, _FIRST_BREAKS)
        if isinstance(cached, int) and before.tokens is not None and cached != before.tokens and self._breaks >= 1:
            self._breaks -= 1
            return True
        if self._sampler.ask(state.kind) is Interest.NONE:
            return False
        self._sampler.took(state.kind)
        return True


def _look(state: Pass, before: Tail, tail: Tail, keys: Tensor, end: int | Tensor) -> Sighting | None:
    queries, kept = state.call.queries, tail.keys.shape[1]
    if queries < kept:
        return Sighting(before, tail.keys, kept - queries - 1, _shown(state))
    if isinstance(end, int) and end <= queries:
        return None
    return Sighting(before, cut(keys, end - queries, 1), 0, _shown(state))


def _elsewhere(keys: Tensor, cache: Any, state: Pass) -> bool:
    """On their way between host and device: what lies there may be half written."""
    device = state.call.device
    moving = bool(getattr(cache, "offloading", False)) and device is not None and device.type != "cpu"
    return moving or device is None or keys.device.type != device.type


def _shown(state: Pass) -> Tensor | None:
    """The caller's 2-D mask at the slot before this call's own, counted from both ends."""
    mask = state.call.mask
    if mask is None or mask.shape[1] <= state.call.queries:
        return None
    from_end = mask.shape[1] - state.call.queries - 1
    from_start = state.cached - 1 if isinstance(state.cached, int) else from_end
    if from_start == from_end or not 0 <= from_start < from_end:
        return column(mask, from_end)
    return torch.cat([column(mask, from_end), column(mask, from_start)])
