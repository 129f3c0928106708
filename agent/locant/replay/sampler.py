"""Takes one live request at a time out of the traffic: two hooks that copy a row and wait for nothing."""

from __future__ import annotations

import random
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from locant.probe.caches import CACHE_NAMES, cache_length
from locant.probe.call import Call, bind, parameter_names
from locant.probe.exclude import is_excluded
from locant.probe.timing import capturing
from locant.replay.budget import Budget
from locant.replay.copying import autocast_of, cache_of, last_keys, moved_since, newest_key, step_of, versions
from locant.replay.options import ReplayOptions
from locant.replay.outputs import Answer, answer_of
from locant.replay.sample import Sample
from locant.replay.traffic import Traffic

_KNOWN = frozenset(
    ("attention_mask", "position_ids", "token_type_ids", *CACHE_NAMES, "cache_position", "labels", "use_cache")
)
_OURS = frozenset(("use_cache", "return_dict", "logits_to_keep", "num_logits_to_keep"))
"""Flags that a replay sets for itself."""

Declared = Callable[[], tuple[bool, tuple[str, ...]]]


class _Thread(threading.local):
    call: Call | None = None
    given: Mapping[str, Any] = {}
    cached: int | Tensor | None = None
    moved: Tensor | None = None
    request_ids: tuple[str, ...] = ()


class Sampler:
    """`before` and `after` are the bodies of a pre-hook and a hook on the watched module; `take` empties the net."""

    def __init__(
        self,
        module: nn.Module,
        options: ReplayOptions,
        traffic: Traffic,
        budget: Budget,
        declared: Declared,
        vocabulary_size: int,
        clock: Callable[[], float],
        chance: random.Random,
    ) -> None:
        self._module = module
        self._names = parameter_names(module)
        self._options = options
        self._traffic = traffic
        self._budget = budget
        self._declared = declared
        self._vocabulary_size = vocabulary_size
        self._clock = clock
        self._chance = chance
        self._slot = _Thread()
        self._filling = threading.Lock()
        self.sample: Sample | None = None

    def take(self) -> Sample | None:
        """The sampled request, if any; the next one is looked for from now on."""
        sample, self.sample = self.sample, None
        return sample

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """A pass begins: is it one to copy, or one of the request that is followed?"""
        if is_excluded() or not self._traffic.enter(sys._getframe(2)):
            return
        slot, sample = self._slot, self.sample
        slot.call = None
        stale = sample is not None and self._clock() - sample.time > self._options.oldest_seconds
        if sample is not None and not stale and sample.cache is None:
            return
        call = bind(self._names, args, kwargs)
        segmented, slot.request_ids = self._declared()
        if call.ids is None or segmented or capturing(call.device):
            return
        followed = sample is not None and sample.cache is not None and sample.cache() is call.cache is not None
        if not followed and sample is not None and not stale:
            return
        slot.cached = cache_length(call.cache)
        slot.moved = moved_since(sample, call.cache) if followed and sample is not None else None
        slot.given = {**dict(zip(self._names, args, strict=False)), **kwargs}
        slot.call = call

    def after(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """The pass is over, whether it returned or raised."""
        if is_excluded():
            return
        seconds = self._traffic.leave()
        if seconds is None:
            return
        call, self._slot.call = self._slot.call, None
        self._budget.earn(seconds)
        if call is None or result is None or not self._filling.acquire(blocking=False):
            return
        try:
            with torch.no_grad():
                self._copy(call, result, seconds)
        finally:
            self._filling.release()

    def _copy(self, call: Call, result: Any, seconds: float) -> None:
        answer = answer_of(result, call.batch, self._vocabulary_size)
        if answer is None:
            return
        sample = self.sample
        if sample is not None and sample.cache is not None and sample.cache() is call.cache is not None:
            self._follow(sample, call, answer)
        elif self._means_the_same(call):
            self.sample = self._begin(call, answer, result, seconds)

    def _means_the_same(self, call: Call) -> bool:
        """Whether what this pass was given can be given again to a pass of one row."""
        if (
            call.packed
            or call.opaque_mask
            or call.mask_rank == 4
            or not 1 < call.queries <= self._options.longest_tokens
        ):
            return False
        if call.mask is not None and call.mask.shape != (call.batch, call.queries):
            return False
        if (
            not isinstance(self._slot.cached, int)
            or self._slot.cached
            or any(m.training for m in self._module.modules())
        ):
            return False
        if call.mask is not None and self._slot.given.get("attention_mask") is not call.mask:
            return False
        return all(
            name in _KNOWN or value is call.ids or value is None or isinstance(value, (bool, int, str))
            for name, value in self._slot.given.items()
        )

    def _begin(self, call: Call, answer: Answer, result: Any, seconds: float) -> Sample | None:
        columns, row = answer.columns(), self._chance.randrange(call.batch)
        if answer.by_token and columns not in (1, call.queries):
            return None
        declared, cache = self._slot.request_ids, cache_of(call, result)
        step = step_of(call, answer, row, tail=columns == 1)
        traceable = call.batch == 1 or bool(declared) or last_keys(cache) is not None
        follows = answer.by_token and cache is not None and traceable
        return Sample(
            row=row,
            batch=call.batch,
            request_id=declared[row] if len(declared) == call.batch else "",
            quantity=answer.quantity,
            by_token=answer.by_token,
            tail=columns == 1,
            time=self._clock(),
            forward_seconds=seconds,
            versions=versions(self._module),
            autocast=autocast_of(call.device),
            names={
                "tokens": next(name for name, value in self._slot.given.items() if value is call.ids),
                "types": next((n for n, v in self._slot.given.items() if v is call.token_types), ""),
            },
            flags={n: v for n, v in self._slot.given.items() if isinstance(v, (bool, str)) and _is_flag(n)},
            steps=[step],
            cache=weakref.ref(cache) if follows and self._options.decode_steps else None,
            newest_key=newest_key(cache, row) if follows else None,
        )

    def _follow(self, sample: Sample, call: Call, answer: Answer) -> None:
        """One more pass of the sampled request, or the end of it."""
        row, ids = sample.row, self._slot.request_ids
        if sample.request_id:
            row = ids.index(sample.request_id) if sample.request_id in ids else -1
        elif call.batch != sample.batch:
            row = -1
        cached = self._slot.cached
        if row < 0 or row >= call.batch or cached is None or not answer.by_token or call.opaque_mask or call.packed:
            sample.cache = None
            return
        moved = None if sample.request_id else self._slot.moved
        sample.steps.append(step_of(call, answer, row, tail=True, cached=cached, moved=moved))
        sample.newest_key = newest_key(call.cache, row)
        if len(sample.steps) > self._options.decode_steps:
            sample.cache = None


def _is_flag(name: str) -> bool:
    return name not in _OURS and name not in _KNOWN and not name.startswith("output_")
