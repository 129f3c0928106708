"""Replay beside a watched model: samples, waits for idle moments, compares, reports."""

from __future__ import annotations

import inspect
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from locant.observation import ReplayFacts
from locant.probe.hooks import Guard, Hook
from locant.probe.structure import entry, text_config, unwrap
from locant.replay.budget import Budget
from locant.replay.copying import versions
from locant.replay.options import ReplayOptions
from locant.replay.outputs import differences
from locant.replay.replayer import Compared, Target, replays
from locant.replay.sample import Request, Sample, request_of
from locant.replay.sampler import Sampler
from locant.replay.traffic import Traffic

if TYPE_CHECKING:
    from locant.probe.probe import Probe

_LOG = logging.getLogger(__name__)
_SIGNAL = "replay"
_GROWN_BY_LENGTH = ("dynamic", "longrope")


class Replay:
    """Two hooks on the model, and `tend` for the agent's thread. `done`, `passed_over` and `errors` count.

    `clock` is monotonic seconds; `wall` the time of observations; `chance` picks the row of a batch.
    """

    def __init__(
        self,
        probe: Probe,
        options: ReplayOptions,
        offer: Callable[[ReplayFacts], object],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        module = entry(probe.model)
        size = int(getattr(text_config(probe.model), "vocab_size", 0) or 0)
        takes = frozenset(inspect.signature(unwrap(module).forward).parameters)
        self.traffic = Traffic(clock)
        self.budget = Budget(options.share, options.burst_seconds)
        self.done: Counter[str] = Counter()
        self.passed_over = 0
        self._probe = probe
        self._options = options
        self._offer = offer
        self._clock, self._wall = clock, wall
        self._guard = Guard(strict=True) if options.strict else probe.guard
        self._target = Target(module, probe.profile, takes, size)
        chance = chance or random.Random()  # noqa: S311 - which row to look at is no secret
        self._sampler = Sampler(module, options, self.traffic, self.budget, probe.declared, size, clock, chance)
        self._cost_seconds: float | None = None
        self._handles: list[Any] = []

    @property
    def errors(self) -> int:
        """Replay's own errors so far."""
        return self._guard.errors[_SIGNAL]

    def start(self) -> Replay:
        """Put the hooks on, unless this model cannot be replayed; `why_not` tells."""
        reason = why_not(self._target)
        if reason:
            _LOG.warning("replay is off for %s: %s", self._probe.name, reason)
            return self
        module, sampler = self._target.module, self._sampler
        after: Any = Hook(sampler.after, self._guard, _SIGNAL)
        before = Hook(sampler.before, self._guard, _SIGNAL)
        self._handles = [
            module.register_forward_pre_hook(before, with_kwargs=True, prepend=True),
            module.register_forward_hook(after, with_kwargs=True, always_call=True),
        ]
        return self

    def close(self) -> None:
        """Take the hooks off."""
        handles, self._handles = self._handles, []
        for handle in handles:
            handle.remove()

    def tend(self) -> bool:
        """Replay what was sampled if this is the moment; whether it was. Called again and again by one thread."""
        sample = self._sampler.sample
        if not self._handles or sample is None or _SIGNAL in self._guard.off or not self._quiet():
            return False
        cost = self._cost_seconds if self._cost_seconds is not None else 3 * sample.forward_seconds
        if not self.budget.affords(cost):
            return False
        taken = self._sampler.take()
        if taken is None:
            return False
        started = self._clock()
        try:
            self._replay(taken)
        except Exception as error:
            self._note(error)
        self._cost_seconds = self._clock() - started
        self.budget.spend(self._cost_seconds)
        return True

    def _note(self, error: Exception) -> None:
        """Count it; after a few replay is off. Never the model's affair."""
        _LOG.warning("a replay failed: %s: %s", type(error).__name__, error)
        self._guard.failed(_SIGNAL, error)

    def _quiet(self) -> bool:
        return self.traffic.idle_seconds >= self._options.idle_seconds

    def _replay(self, sample: Sample) -> None:
        if self._outdated(sample):
            self.passed_over += 1
            return
        if sample.steps[0].ids.device.type == "cuda":
            torch.cuda.synchronize(sample.steps[0].ids.device)
        request = request_of(sample, self._target.profile.pad_id, self._options.longest_tokens)
        if request is None:
            self.passed_over += 1
            return
        for compared in replays(request, self._target, self._options, lambda: not self.traffic.busy):
            self._report(request, compared)

    def _outdated(self, sample: Sample) -> bool:
        module = self._target.module
        old = self._clock() - sample.time > self._options.oldest_seconds
        return old or versions(module) != sample.versions or any(part.training for part in module.modules())

    def _report(self, request: Request, compared: Compared) -> None:
        kind, first, second, shift = compared
        sample = request.sample
        each, largest, flipped = differences(first, second, sample.quantity)
        self.done[kind] += 1
        self._offer(
            ReplayFacts(
                self._probe.model_id,
                self._wall(),
                kind,
                self._dtype(sample),
                sample.quantity,
                each,
                largest_difference=largest,
                flipped=flipped,
                tokens=request.ids.shape[1],
                batch=sample.batch,
                padded=request.padded,
                shift=shift,
            )
        )

    def _dtype(self, sample: Sample) -> str:
        weight = next(parameter for parameter in self._target.module.parameters())
        dtype = str(sample.autocast or weight.dtype).removeprefix("torch.")
        rounded = weight.device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32
        return "tfloat32" if dtype == "float32" and rounded else dtype


def why_not(target: Target) -> str:
    """Why a second pass of this model would not mean the same, or would disturb the next one; empty when it is fine."""
    config = text_config(target.module)
    parameters = getattr(config, "rope_parameters", None) or {}
    if target.profile.kind == "encoder_decoder":
        return "encoder and decoder together are not replayed"
    if isinstance(parameters, dict) and parameters.get("rope_type") in _GROWN_BY_LENGTH:
        return "its rotary tables depend on the longest request so far"
    if getattr(unwrap(target.module), "_hf_peft_config_loaded", False) or hasattr(target.module, "peft_config"):
        return "its adapters may be switched between two passes"
    return ""
