"""A watched model on a GPU: nothing synchronises, nothing changes, nothing waits. The CPU runs what it can of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from locant.observation import AttentionFacts, ForwardFacts
from locant.probe.probe import Probe, ProbeOptions
from locant.probe.transfer import Shipment, side_stream
from locant.wire.channel import Channel
from probe.tinies import causal, left_padded

ON_GPU = torch.cuda.is_available()
WITHOUT = "NOT PROVEN HERE: no CUDA device; run `pytest tests/probe/cuda` and `python benchmarks/gpu_check.py` on one"
needs_gpu = pytest.mark.skipif(not ON_GPU, reason=WITHOUT)
DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]
FAMILIES = ("llama", "gpt2", "mistral", "bloom")
EVERY = ProbeOptions(attention_rate=1.0, rotary_rate=1.0, overhead_budget=None, strict=True)


@contextmanager
def watched(model: nn.Module, options: ProbeOptions = EVERY) -> Iterator[tuple[Probe, Channel]]:
    """A strict probe that looks at every pass."""
    channel = Channel(100_000)
    probe = Probe(model, model_id=1, channel=channel, options=options)
    probe.attach()
    yield probe, channel
    probe.close()


@contextmanager
def no_synchronisation(device: str) -> Iterator[None]:
    """Any call of torch's that waits for the device raises."""
    if device == "cpu":
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def bare_forward(model: nn.Module, device: str) -> torch.Tensor:
    """Logits of a padded batch, its positions made from the mask."""
    ids, mask = left_padded(14, 6)
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    kwargs = {} if "bloom" in type(model).__name__.lower() else {"position_ids": positions.to(device)}
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=ids.to(device), attention_mask=mask.to(device), **kwargs).logits
    return found


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_are_the_same_bits_and_the_facts_those_of_the_cpu(family: str, device: str) -> None:
    model = causal(family)
    with watched(model) as (probe, channel):
        bare_forward(model, "cpu")
        assert probe.flush(10.0)
        wanted = channel.drain(10_000)
    model.to(device)
    bare = bare_forward(model, device)
    with watched(model) as (probe, channel):
        for _ in range(3):
            assert torch.equal(bare_forward(model, device), bare)
        assert probe.flush(30.0)
        found = channel.drain(10_000)
    [expected] = [one for one in wanted if isinstance(one, ForwardFacts)]
    passes = [one for one in found if isinstance(one, ForwardFacts)]
    hashless = [row._replace(first_token_hash=0) for row in expected.rows]
    assert [[row._replace(first_token_hash=0) for row in one.rows] for one in passes] == [hashless] * 3
    assert passes[0].positions == expected.positions
    layers = [one for one in wanted if isinstance(one, AttentionFacts)]
    for theirs, ours in zip(layers, (one for one in found if isinstance(one, AttentionFacts)), strict=False):
        assert ours.rows == theirs.rows
        for name in ("entropy", "self_mass", "largest_weight", "padding_mass"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=2e-3, abs=2e-3)


@needs_gpu
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("declared", [False, True])
def test_no_watched_pass_synchronises(family: str, declared: bool) -> None:
    model = causal(family).cuda()
    ids, mask = left_padded(14, 6)
    ids, mask = ids.cuda(), mask.cuda()
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    kwargs: dict[str, Any] = {} if family == "bloom" else {"position_ids": positions}

    def forward() -> None:
        model(input_ids=ids, attention_mask=mask, use_cache=False, **kwargs)

    with torch.no_grad():
        forward()
        try:
            with no_synchronisation("cuda"):
                forward()
        except RuntimeError:
            pytest.skip(f"{family} synchronises by itself")
        with watched(model) as (probe, _):
            for _ in range(8):
                if declared:
                    probe.declare(segments=[[7, 7]] * ids.shape[0])
                with no_synchronisation("cuda"):
                    forward()
            assert probe.flush(30.0)
            assert not probe.guard.errors


@needs_gpu
def test_the_models_stream_does_not_wait_for_the_side_stream() -> None:
    device, long = torch.device("cuda", torch.cuda.current_device()), 2_000_000_000
    tensor = torch.arange(1000.0, device=device)
    torch.cuda.synchronize()
    sleep: Any = torch.cuda._sleep
    with torch.cuda.stream(side_stream(device)):
        sleep(long)
    shipment = Shipment({"a": tensor})
    tensor.mul_(2)
    done = torch.cuda.Event()
    done.record()
    done.synchronize()
    assert not shipment.arrived
    torch.cuda.synchronize()
    assert shipment.arrived
    assert shipment.arrive()["a"].tolist() == [float(i) for i in range(1000)]


@needs_gpu
def test_a_graph_is_captured_while_another_thread_polls() -> None:
    model = causal("llama").cuda()
    linear, static = nn.Linear(64, 64).cuda(), torch.randn(8, 64, device="cuda")
    stop = threading.Event()
    with watched(model) as (probe, _), torch.no_grad():
        linear(static)
        poller = threading.Thread(target=lambda: [probe.poll() for _ in iter(stop.is_set, True)])
        poller.start()
        try:
            for _ in range(20):
                bare_forward(model, "cuda")
                torch.cuda.synchronize()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    linear(static)
                graph.replay()
        finally:
            stop.set()
            poller.join()
        assert not probe.guard.errors


@needs_gpu
def test_passes_that_a_graph_captures_are_left_alone() -> None:
    model = causal("llama").cuda()
    ids = torch.randint(3, 20, (2, 8), device="cuda")
    with watched(model) as (probe, _), torch.no_grad():
        for _ in range(3):
            model(input_ids=ids, use_cache=False)
        probe.flush(30.0)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = model(input_ids=ids, use_cache=False).logits
        graph.replay()
        torch.cuda.synchronize()
        assert torch.allclose(captured, model(input_ids=ids, use_cache=False).logits, atol=1e-4)
        assert not probe.guard.errors


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="NOT PROVEN HERE: needs two CUDA devices")
def test_results_of_two_devices_arrive_together() -> None:
    one, two = torch.ones(3, device="cuda:0"), torch.full((3,), 2.0, device="cuda:1")
    shipment = Shipment({"one": one, "two": two, "host": torch.zeros(1)})
    torch.cuda.synchronize(0)
    torch.cuda.synchronize(1)
    assert shipment.arrived
    assert shipment.arrive()["two"].tolist() == [2, 2, 2]
