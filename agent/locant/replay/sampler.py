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

from locant.probe.caches import cache_length
from locant.probe.call import Call, bind, fit_positions, parameter_names
from locant.probe.exclude import is_excluded
from locant.probe.timing import capturing
from locant.replay.budget import Budget
from locant.replay.options import ReplayOptions
from locant.replay.outputs import Answer, answer_of
from locant.replay.sample import Sample, Step
from locant.replay.traffic import Traffic

_KNOWN = frozenset(
    ("attention_mask", "position_ids", "token_type_ids", "past_key_values", "cache_position", "labels", "use_cache")
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
    ) -> None:
        self._module = module
        self._names = parameter_names(module)
        self._options = options
        self._traffic = traffic
        self._budget = budget
        self._declared = declared
        self._vocabulary_size = vocabulary_size
        self._clock = clock
        self._random = random.Random()  # noqa: S311 - which row to look at is no secret
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
        slot.moved = _moved(sample, call.cache) if followed and sample is not None else None
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
        columns, row = answer.columns(), self._random.randrange(call.batch)
        if answer.by_token and columns not in (1, call.queries):
            return None
        declared, cache = self._slot.request_ids, _cache_of(call, result)
        step = _step(call, answer, row, tail=columns == 1)
        follows = (
            answer.by_token and cache is not None and (call.batch == 1 or _keys(cache) is not None or bool(declared))
        )
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
            autocast=_autocast(call.device),
            names={
                "tokens": next(name for name, value in self._slot.given.items() if value is call.ids),
                "types": next((n for n, v in self._slot.given.items() if v is call.token_types), ""),
            },
            flags={n: v for n, v in self._slot.given.items() if isinstance(v, (bool, str)) and _is_flag(n)},
            steps=[step],
            cache=weakref.ref(cache) if follows and self._options.decode_steps else None,
            newest_key=_newest(cache, row) if follows else None,
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
        sample.steps.append(_step(call, answer, row, tail=True, cached=cached, moved=moved))
        sample.newest_key = _newest(call.cache, row)
        if len(sample.steps) > self._options.decode_steps:
            sample.cache = None


def _step(
    call: Call, answer: Answer, row: int, *, tail: bool, cached: int | Tensor = 0, moved: Tensor | None = None
) -> Step:
    """Copies of one row. `tail`: the answer of the last column, else of the last one that the mask keeps."""
    assert call.ids is not None
    mask = call.mask[min(row, len(call.mask) - 1)].detach().clone() if call.mask is not None else None
    positions = fit_positions(call.positions, call.batch, call.queries)
    if positions is not None and positions.dim() == 3:
        positions = positions[0]
    return Step(
        ids=call.ids[row].detach().clone(),
        output=answer.at(row, _last(answer, None if tail else mask)).clone(),
        mask=mask,
        types=call.token_types[row].detach().clone() if call.token_types is not None else None,
        positions=positions[min(row, len(positions) - 1)].detach().clone() if positions is not None else None,
        cached=cached,
        moved=moved,
    )


def _last(answer: Answer, mask: Tensor | None) -> Tensor:
    """Index [1] of the last column, or of the last kept one; the device finds it by itself."""
    device = answer.parts[0].device
    if mask is None:
        return torch.full((1,), max(answer.columns() - 1, 0), device=device)
    kept = mask.to(device).ne(0)
    return (kept * torch.arange(len(kept), device=device)).argmax().reshape(1)


def _cache_of(call: Call, result: Any) -> Any:
    """The cache that the next pass will be given, if it can be recognised then."""
    cache = call.cache if call.cache is not None else getattr(result, "past_key_values", None)
    return cache if hasattr(cache, "get_seq_length") else None


def _keys(cache: Any) -> Tensor | None:
    """Keys [B, heads, tokens, D] of the last layer: they depend on all tokens before."""
    layers = getattr(cache, "layers", None)
    keys = getattr(layers[-1], "keys", None) if layers is not None and len(layers) else None
    return keys if isinstance(keys, Tensor) and keys.dim() == 4 and keys.numel() else None


def _newest(cache: Any, row: int) -> Tensor | None:
    keys = _keys(cache)
    return keys[row, :, -1].detach().clone() if keys is not None and row < len(keys) else None


def _moved(sample: Sample, cache: Any) -> Tensor | None:
    """Whether the row's newest key is another one than it was left with: an engine may let rows change places."""
    newest = _newest(cache, sample.row)
    if newest is None or sample.newest_key is None or newest.shape != sample.newest_key.shape:
        return None
    return (newest != sample.newest_key).any()


def _autocast(device: torch.device | None) -> torch.dtype | None:
    kind = device.type if device is not None else "cpu"
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def _is_flag(name: str) -> bool:
    return name not in _OURS and name not in _KNOWN and not name.startswith("output_")


def versions(module: nn.Module) -> int:
    """Changes with every write to the weights."""
    return sum(0 if parameter.is_inference() else parameter._version for parameter in module.parameters())
