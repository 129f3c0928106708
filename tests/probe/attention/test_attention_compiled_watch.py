"""Watched models under torch.compile, compiled in every way: what is seen, and what is compiled because of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from locant.observation import AttentionFacts
from probe.attention.compiled_models import Backend, graph_count, hand_written
from probe.tinies import causal, left_padded, tokens


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """Nothing compiled, nothing counted."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


def _wrapped(model: Any, backend: Any) -> Any:
    return torch.compile(model, backend=backend, fullgraph=True)


def _in_place(model: Any, backend: Any) -> Any:
    model.compile(backend=backend, fullgraph=True)
    return model


def _call_only(model: Any, backend: Any) -> Any:
    """As transformers' generate does it with a static cache."""
    return torch.compile(model.__call__, backend=backend, fullgraph=True)


def _by_layer(model: Any, backend: Any) -> Any:
    for layer in model.model.layers:
        layer.compile(backend=backend, fullgraph=True)
    return model


WAYS = (_wrapped, _in_place, _call_only, _by_layer)


def _watched(watch_model: Any, model: Any, way: Callable[..., Any], backend: Any, first: bool, **options: Any) -> Any:
    """(What is called, what is seen) of a model that is compiled before it is watched, or after."""
    called = model if first else way(model, backend)
    seen = watch_model(called if isinstance(called, torch.nn.Module) else model, **options)
    if first:
        called = way(model, backend)
        seen.probe._next_slow = 0.0
        seen.probe.poll()
    return called, seen


def _layers(seen: Any, passes: range) -> list[AttentionFacts]:
    return [layer for layer in seen.attention if layer.pass_number in passes]


@pytest.mark.parametrize("watched_first", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_however_a_model_is_compiled_its_looks_are_those_of_the_plain_model(
    watch_model: Any, way: Callable[..., Any], watched_first: bool
) -> None:
    ids, mask = left_padded(9, 6)
    given = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    plain = causal("llama", attn="sdpa")
    wanted = watch_model(plain, attention_rate=1.0)
    outputs = [plain(**given).logits for _ in range(4)]
    backend, options = Backend(), {"attention_rate": 1.0, "attention_compiled": True}
    called, seen = _watched(watch_model, causal("llama", attn="sdpa"), way, backend, watched_first, **options)
    assert all(torch.equal(called(**given).logits, output) for output in outputs)
    assert graph_count() == len(backend.plain) == len(backend.observed) == 1
    ours, theirs = _layers(seen, range(2, 5)), _layers(wanted, range(2, 5))
    assert [(layer.pass_number, layer.layer, layer.rows) for layer in ours] == [
        (n, i, 15) for n in (2, 3, 4) for i in (0, 1)
    ]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.entropy == pytest.approx(other.entropy, rel=1e-5)
        assert mine.padding_mass == pytest.approx(other.padding_mass, abs=1e-5)
        assert mine.heat == pytest.approx(other.heat, rel=1e-4, abs=1e-5)
    assert ["attention" in facts.seen for facts in seen.passes] == [False, True, True, True]


@pytest.mark.parametrize("way", WAYS)
def test_unless_the_owner_asks_a_compiled_model_is_not_seen_and_compiled_once(
    watch_model: Any, way: Callable[..., Any]
) -> None:
    backend, model = Backend(), causal("llama", attn="sdpa", num_hidden_layers=1)
    called, seen = _watched(watch_model, model, way, backend, True, attention_rate=1.0)
    for _ in range(3):
        called(input_ids=tokens(2, 5), use_cache=False)
    assert (len(backend.plain), backend.observed) == (1, [])
    assert seen.attention == []
    assert len(seen.passes) == 3
    assert all("attention" not in facts.seen for facts in seen.passes)


def test_hundreds_of_passes_of_any_length_compile_nothing_that_the_model_did_not_compile(watch_model: Any) -> None:
    model, backend = hand_written(), Backend()
    lengths = [6, 6, 11, 11] + [5 + number * 7 % 23 for number in range(400)]
    torch.compile(model, backend=backend)(tokens(2, 6))
    for length in lengths[1:]:
        torch.compile(model, backend=backend)(tokens(2, length))
    alone = graph_count()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    backend, model = Backend(), hand_written()
    seen = watch_model(model, attention_rate=0.5, attention_compiled=True, overhead_budget=0.3)
    compiled: Any = torch.compile(model, backend=backend)
    warm = 0
    for number, length in enumerate(lengths):
        compiled(tokens(2, length))
        warm = graph_count() if number == 4 else warm
    assert graph_count() == warm == alone == len(backend.plain) == len(backend.observed) <= 2
    assert sum(backend.plain) + sum(backend.observed) == len(lengths)
    looks = {layer.pass_number for layer in seen.attention}
    assert sum(backend.observed) == len(looks) > 5
    assert seen.probe.governor.looks["taken"] >= len(looks)


def test_what_the_second_graph_took_to_compile_is_reported_as_overhead(watch_model: Any) -> None:
    def slow(observed: bool) -> bool:
        if observed:
            time.sleep(0.2)
        return False

    model = hand_written()
    seen = watch_model(model, attention_compiled=True, attention_rate=0.001)
    torch.compile(model, backend=Backend(fails=slow))(tokens(2, 5))
    assert seen.probe.governor.spent_seconds > 0.2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_inductor_gives_the_same_bits_in_passes_that_are_looked_at(
    watch_model: Any, program: Callable[[str], str]
) -> None:
    program("g++")
    ids, mask = left_padded(9, 6)
    given = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    plain = causal("llama", attn="sdpa", num_hidden_layers=1)
    wanted = watch_model(plain, attention_rate=1.0)
    for _ in range(3):
        plain(**given)
    model = causal("llama", attn="sdpa", num_hidden_layers=1)
    seen = watch_model(model, attention_rate=1.0, attention_compiled=True)
    compiled: Any = torch.compile(model, fullgraph=True)
    bare, *looked_at = [compiled(**given).logits for _ in range(3)]
    assert all(torch.equal(bare, output) for output in looked_at)
    assert graph_count() == 1
    ours, theirs = _layers(seen, range(2, 4)), _layers(wanted, range(2, 4))
    assert len(ours) == 2
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.entropy == pytest.approx(other.entropy, rel=1e-5)
