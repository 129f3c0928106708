"""What an unsampled pass asks of a GPU, counted without one: tensors that only say that they are on it, a driver that
takes notes. `benchmarks/gpu_check.py` counts the same on a real one."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import DynamicCache

from locant.probe import timing, transfer
from locant.probe.finished import Finished
from locant.probe.probe import Probe, ProbeOptions
from locant.wire.channel import Channel
from support.free_models import HEADS, PAST, SIZE, free_model
from support.pass_counts import operations_of

NO_KERNELS = ("view.dtype", "view", "_reshape_copy", "reshape", "detach", "empty.memory_format", "prim::device")


def hand_over(done: Finished) -> None:
    """What the agent's thread does with a pass, but for its facts: fake tensors have no values."""
    assert done.state.clock is not None
    assert done.ready
    done.arrive()
    done.capture.closing_times.read(done.state.clock, done.state.kind)


class Driver:
    """Streams and events of a CUDA device; nothing is ever done."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def event(self, *, timing: bool = False) -> Any:
        self.asked["events made"] += 1
        return Event(self, timing)

    def current_stream(self, device: Any = None) -> Any:
        self.asked["current_stream"] += 1
        return self

    def wait_stream(self, other: Any) -> None:
        self.asked["wait_stream"] += 1

    def wait_event(self, event: Any) -> None:
        assert event.recorded
        self.asked["wait_event"] += 1


class Event:
    """Always arrived, a millisecond after any other."""

    def __init__(self, driver: Driver, timing: bool) -> None:
        self._driver = driver
        self._timing = timing
        self.recorded = False

    def record(self, stream: Any = None) -> None:
        self.recorded = True
        self._driver.asked["timing events recorded" if self._timing else "events recorded"] += 1

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: Any) -> float:
        return 1.0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    found = Driver()
    monkeypatch.setattr(timing, "cuda_event", found.event)
    monkeypatch.setattr(timing, "_events", {})
    monkeypatch.setattr(transfer, "side_stream", lambda device: found)
    monkeypatch.setattr(torch.cuda, "current_stream", found.current_stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    return found


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_decode_step_records_one_pair_packs_once_and_copies_once(driver: Driver, family: str, masked: bool) -> None:
    model, channel = free_model(family), Channel(1000)
    options = ProbeOptions(attention_rate=0.0, rotary_rate=0.0, key_rate=1e-9, strict=True)
    probe = Probe(model, model_id=1, channel=channel, options=options)
    probe.attach()
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        cache = DynamicCache(config=model.config)
        past = torch.randn(2, HEADS, PAST, SIZE, device="cuda")
        cache.update(past, past, 0)
        model.new = torch.randn(2, HEADS, 1, SIZE, device="cuda")
        call: dict[str, Any] = {"input_ids": torch.ones(2, 1, dtype=torch.int64, device="cuda")}
        places = torch.ones(2, 1, dtype=torch.int64, device="cuda")
        model.places = torch.ones(1, PAST + 1, dtype=torch.int64, device="cuda")
        if family == "gpt2":
            model.transformer.wpe.weight = torch.nn.Parameter(torch.ones(128, HEADS * SIZE, device="cuda"))
        if masked:
            call |= {
                "attention_mask": torch.ones(2, PAST + 1, dtype=torch.int64, device="cuda"),
                "position_ids": places,
            }

        def step() -> None:
            model(past_key_values=cache, **call)

        for _ in range(20):
            step()
            hand_over(probe._arrivals.waiting.popleft())
        driver.asked.clear()
        watched = operations_of(step)
        assert driver.asked == {
            "timing events recorded": 2,
            "events recorded": 1,
            "wait_event": 1,
            "current_stream": 2,
        }
        probe._arrivals.waiting.clear()
        probe.close()
        launched = watched - operations_of(step)
    keys = {"as_strided_copy": 1} if family == "llama" else {}
    assert {name: n for name, n in launched.items() if name not in NO_KERNELS} == {"cat": 1, "copy_": 1, **keys}
