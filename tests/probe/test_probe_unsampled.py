"""A pass that is not looked at: what it costs, in counts, and that it holds on to nothing of the model's."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections import Counter
from typing import Any

import pytest
import torch

from locant.observation import ForwardFacts
from locant.probe.keys import follow
from locant.probe.probe import Probe, ProbeOptions
from locant.wire.channel import Channel
from probe.key_engines import SIZES, serve
from probe.tinies import causal, left_padded, tokens
from support.free_models import Case, free_model, pass_of
from support.pass_counts import Counts, counts_of

transformers = pytest.importorskip("transformers")

CASES = [Case(*case) for case in itertools.product(("gpt2", "llama"), (1, 8), (False, True), (False, True))]
OPTIONS = ProbeOptions(overhead_budget=0.0, strict=True)
PYTHON_CALLS, C_CALLS = 120, 135
"""At most so many more than without a probe; measured on Python 3.11: 72 to 108, and 55 to 115."""


def added(case: Case, options: ProbeOptions = OPTIONS) -> Counts:
    """What a probe adds to a pass of this kind after a few alike."""
    model = free_model(case.family)
    step, back = pass_of(model, case)

    def both() -> None:
        step()
        back()

    with torch.no_grad():
        both()
        bare = counts_of(both)
        probe = Probe(model, model_id=1, channel=Channel(100), options=options)
        probe.attach()
        for _ in range(5):
            both()
        found = counts_of(both).beyond(bare)
        probe.close()
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_pass_copies_its_inputs_and_the_newest_keys_and_computes_nothing(case: Case) -> None:
    found = added(case)
    keys = {"as_strided_copy": 1} if case.family == "llama" and not case.prompt else {}
    assert found.operations == Counter({"clone": 3 if case.masked else 1, **keys})
    assert found.python_calls <= PYTHON_CALLS
    assert found.c_calls <= C_CALLS


def test_attention_adds_four_calls_to_a_pass_and_nothing_to_a_call() -> None:
    with_it, without = (added(CASES[-2], ProbeOptions(attention_rate=rate, overhead_budget=0.0)) for rate in (0.05, 0))
    assert with_it.operations == without.operations
    assert with_it.python_calls - without.python_calls <= 4


def test_a_pass_that_waits_keeps_no_output_no_cache_and_no_input_alive() -> None:
    model, channel = causal("llama"), Channel(100)
    probe = Probe(model, model_id=1, channel=channel, options=OPTIONS)
    probe.attach()
    ids, mask = left_padded(6, 3)
    cache = transformers.DynamicCache(config=model.config)
    output = model(ids, attention_mask=mask, use_cache=True, **{cache_name(model): cache})
    living = [weakref.ref(one) for one in (output.logits, cache, ids, mask)]
    del output, cache, ids, mask
    gc.collect()
    assert [one() for one in living] == [None] * 4
    assert probe.flush(5.0)
    assert [type(one) for one in channel.drain(10)].count(ForwardFacts) == 1
    probe.close()


def cache_name(model: Any) -> str:
    """What this version of the library calls the argument."""
    names = type(model).forward.__code__.co_varnames
    return "cache" if "cache" in names else "past_key_values"


def test_a_caller_may_write_over_everything_it_gave(watch_model: Any) -> None:
    model = causal("llama")
    seen = watch_model(model)
    ids, mask = left_padded(6, 3)
    places = (mask.cumsum(1) - 1).clamp_min(0)
    model(input_ids=ids, attention_mask=mask, position_ids=places)
    told = seen.passes[0].rows
    model(input_ids=ids, attention_mask=mask, position_ids=places)
    for buffer in (ids, mask, places):
        buffer.fill_(1)
    assert seen.passes[1].rows == told


def test_tokens_of_a_decode_step_may_be_overwritten_too(watch_model: Any) -> None:
    model = causal("llama")
    seen = watch_model(model)
    cache = transformers.StaticCache(config=model.config, max_cache_len=16)
    ids, place = tokens(2, 1), torch.tensor([[0], [0]])
    for position in range(4):
        place.fill_(position)
        model(input_ids=ids, position_ids=place, **{cache_name(model): cache})
    assert [[row.first_position for row in facts.rows] for facts in seen.passes] == [[n, n] for n in range(4)]


def test_a_counter_that_the_caller_moves_on_in_place_was_what_it_was(watch_model: Any) -> None:
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.wpe = torch.nn.Embedding(64, 8), torch.nn.Embedding(64, 8)

        def forward(self, input_ids: torch.Tensor, cache_position: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.embed(input_ids) + self.wpe(cache_position[None])
            return found

    model, counter = Counting().eval(), torch.tensor([7])
    seen = watch_model(model)
    for _ in range(3):
        model(tokens(1, 1), cache_position=counter)
        counter += 1
    assert [facts.rows[0].first_position for facts in seen.passes] == [7, 8, 9]


@pytest.mark.parametrize("shift", ["none", "crop"])
def test_keys_that_lead_up_to_the_call_are_told_by_their_bits_alone(
    watch_model: Any, monkeypatch: pytest.MonkeyPatch, shift: str
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("read one by one")

    monkeypatch.setattr(follow, "carried", never)
    monkeypatch.setattr(follow, "alike", never)
    model = causal("llama", **SIZES["llama"])
    seen = watch_model(model)
    for _ in range(2):
        serve(model, shift, transformers.DynamicCache())
    assert all("keys" in facts.seen for facts in seen.passes)


def test_beams_are_compared_all_at_once(watch_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("read one by one")

    monkeypatch.setattr(follow, "carried", never)
    model = causal("llama")
    model.generation_config.pad_token_id, model.generation_config.eos_token_id = 0, None
    seen = watch_model(model)
    model.generate(tokens(2, 6), num_beams=3, max_new_tokens=8, min_new_tokens=8)
    assert all("keys" in facts.seen for facts in seen.passes)
