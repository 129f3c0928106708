"""Tiny models and a probe whose observations can be looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import torch

from locant.observation import AttentionFacts, ForwardFacts, ModelAttached, Observation, ProbeHealth
from locant.probe.probe import Probe, ProbeOptions
from locant.wire.channel import Channel

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports Triton

T = TypeVar("T")


@dataclass
class Seen:
    """A strict probe on a model, and everything it has said so far."""

    probe: Probe
    channel: Channel
    log: list[Observation]

    def all(self, kind: type[T]) -> list[T]:
        """Every observation of a kind, oldest first."""
        assert self.probe.flush(5.0)
        self.log += self.channel.drain(10_000)
        return [item for item in self.log if isinstance(item, kind)]

    @property
    def passes(self) -> list[ForwardFacts]:
        return self.all(ForwardFacts)

    @property
    def attention(self) -> list[AttentionFacts]:
        return self.all(AttentionFacts)

    @property
    def attached(self) -> list[ModelAttached]:
        return self.all(ModelAttached)

    @property
    def health(self) -> list[ProbeHealth]:
        return self.all(ProbeHealth)


@pytest.fixture
def watch_model() -> Iterator[Callable[..., Seen]]:
    """Puts a strict probe on a model, its rates bound by no budget; closes it at the end."""
    opened: list[Seen] = []

    def attach(model: Any, **options: Any) -> Seen:
        channel = Channel(10_000)
        chosen = ProbeOptions(**{"strict": True, "overhead_budget": None, **options})
        probe = Probe(model, model_id=1, channel=channel, options=chosen, clock=lambda: 0.0)
        probe.attach()
        opened.append(Seen(probe, channel, []))
        return opened[-1]

    yield attach
    for seen in opened:
        seen.probe.close()


@pytest.fixture(autouse=True)
def quiet_torch() -> Iterator[None]:
    """One thread, no gradients, and the same random numbers in every test."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.no_grad():
        yield
