"""What a cached key says of its place: real caches of real models, shortened, turned and restored in every way."""

from __future__ import annotations

import copy

import pytest
import torch
from key_engines import RIGHT, SIZES, WRONG, frequencies_of, serve, turned
from tinies import causal, left_padded, tokens

from locant.observation import ABSENT

transformers = pytest.importorskip("transformers")

KINDS = {
    "llama": torch.bfloat16,  # halves
    "gpt_neox": torch.float32,  # halves, a quarter of the head
    "glm": torch.bfloat16,  # neighbours, half of the head
    "cohere": torch.float32,  # neighbours
    "phi": torch.float32,  # halves, half of the head, a bias on keys
}
TOLD = {"renumber": 14, "turn_too_little": 10, "turn_other_theta": ABSENT}


def carried(seen, row=0):
    """Per pass: the position its newest cached key carries, where it was written, and where the pass starts."""
    return [
        (facts.keys.positions[row], facts.keys.written[row], facts.rows[row].first_position)
        for facts in seen.passes
        if facts.keys is not None
    ]


def model_of(family, **changes):
    return causal(family, **{**SIZES[family], **changes})


@pytest.mark.parametrize("family", KINDS)
class TestTheNewestKey:
    def test_leads_up_to_the_call_in_legal_traffic(self, watch_model, family):
        model = model_of(family).to(KINDS[family])
        for shift in RIGHT:
            seen = watch_model(model)
            serve(model, shift, transformers.DynamicCache())
            seen.probe.close()
            assert carried(seen) == ([(9, 14, 10)] if shift == "turn" else []), shift
            assert all("keys" in facts.seen for facts in seen.passes)

    def test_does_not_after_a_wrong_one(self, watch_model, family):
        model = model_of(family).to(KINDS[family])
        for shift in WRONG:
            seen = watch_model(model)
            serve(model, shift, transformers.DynamicCache())
            seen.probe.close()
            assert carried(seen) == [(TOLD[shift], 14, 10)]


def test_slots_in_another_order_say_nothing(watch_model):
    model = model_of("llama")
    seen = watch_model(model)
    serve(model, "reordered", transformers.DynamicCache())
    assert not carried(seen)


@pytest.mark.parametrize("attn", ["eager", "sdpa"])
def test_a_static_cache_is_read_at_its_newest_slot(watch_model, attn):
    model = model_of("llama", attn=attn)
    seen = watch_model(model)
    serve(model, "misnumbered", transformers.StaticCache(config=model.config, max_cache_len=64))
    assert carried(seen) == [(14, 14, 10)]


@pytest.mark.parametrize("family", ["mistral", "gemma3_text"])
@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_a_window_that_rolls_keeps_the_newest_key(watch_model, family, kind):
    model = causal(family, sliding_window=4)
    seen = watch_model(model)
    made = {"dynamic": transformers.DynamicCache, "static": transformers.StaticCache}[kind]
    cache = made(config=model.config, **({"max_cache_len": 64} if kind == "static" else {}))
    ids = tokens(2, 30)
    model(input_ids=ids[:, :9], past_key_values=cache)
    for start, end in ((9, 10), (10, 11), (11, 13), (13, 14)):
        model(input_ids=ids[:, start:end], past_key_values=cache)
    assert not carried(seen)
    model(input_ids=ids[:, 14:15], past_key_values=cache, position_ids=torch.full((2, 1), 9))
    assert carried(seen) == [(13, 13, 9)]


def test_beams_and_padding_are_read_row_by_row(watch_model):
    model = causal("llama")
    model.generation_config.pad_token_id, model.generation_config.eos_token_id = 0, None
    seen = watch_model(model)
    ids, mask = left_padded(9, 4, 6)
    model.generate(ids, attention_mask=mask, num_beams=3, max_new_tokens=8, min_new_tokens=8)
    assert not carried(seen)
    assert all("keys" in facts.seen for facts in seen.passes)


def test_keys_behind_right_padding_are_left_alone(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    ids, mask = tokens(2, 9), torch.ones(2, 9, dtype=torch.long)
    mask[1, 5:] = 0
    cache = model(input_ids=ids, attention_mask=mask, use_cache=True).past_key_values
    mask = torch.cat([mask, torch.ones(2, 1, dtype=torch.long)], 1)
    model(input_ids=ids[:, :1], attention_mask=mask, position_ids=torch.tensor([[7], [5]]), past_key_values=cache)
    assert seen.passes[-1].keys.positions == (8, ABSENT)


def test_the_keys_of_a_copied_prefix_are_known(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    prefix = model(input_ids=tokens(1, 6), use_cache=True).past_key_values
    branch = copy.deepcopy(prefix)
    model(input_ids=tokens(1, 3), past_key_values=branch, position_ids=torch.arange(3)[None])
    assert carried(seen) == [(5, 5, 0)]


def test_a_model_without_a_table_of_frequencies_is_read_while_its_keys_stay(watch_model):
    model = model_of("gptj")
    seen = watch_model(model)
    serve(model, "renumber", transformers.DynamicCache())
    assert carried(seen) == [(14, 14, 10)]


def test_keys_that_an_engine_keeps_unrotated_are_not_judged(watch_model):
    class Renumbering(transformers.DynamicCache):
        def update(self, *args, **kwargs):
            return super().update(*args, **kwargs)

    model = causal("llama")
    seen = watch_model(model)
    serve(model, "renumber", Renumbering())
    assert not carried(seen)
    assert not any("keys" in facts.seen for facts in seen.passes)


def test_frequencies_that_follow_the_length_say_nothing_of_turned_keys(watch_model):
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    model = model_of("llama", rope_parameters=rope)
    seen = watch_model(model)
    serve(model, "turn_too_little", transformers.DynamicCache())
    assert not carried(seen)


def test_a_pass_that_raised_leaves_no_keys_behind(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    cache = model(input_ids=tokens(1, 6), use_cache=True).past_key_values
    with pytest.raises(IndexError):
        model(input_ids=torch.tensor([[10**6]]), past_key_values=cache)
    assert ["keys" in facts.seen for facts in seen.passes] == [True, False]


def test_turning_there_and_back_is_no_turn():
    model = model_of("glm")
    keys = torch.randn(2, 2, 5, 32)
    frequencies = frequencies_of(model)
    there = turned(keys, 7, frequencies, "neighbours")
    assert not torch.allclose(there, keys, atol=1e-2)
    assert torch.allclose(turned(there, -7, frequencies, "neighbours"), keys, atol=1e-5)


@pytest.mark.parametrize("chosen", ["alike", "apart"])
def test_rows_that_leave_a_cache_must_leave_its_masks_too(watch_model, chosen):
    model, (ids, mask) = model_of("llama"), left_padded(9, 4, 7)
    seen, cache = watch_model(model), transformers.DynamicCache()
    model(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp_min(0), past_key_values=cache)
    cache.batch_select_indices(torch.tensor([0, 2]))
    kept = mask[[0, 2]] if chosen == "alike" else mask[:2]
    grown = torch.cat([kept, torch.ones(2, 1, dtype=torch.long)], 1)
    places = kept.sum(1, keepdim=True)
    model(input_ids=ids[:2, :1], attention_mask=grown, position_ids=places, past_key_values=cache)
    seen.probe.close()
    assert carried(seen, row=1) == ([] if chosen == "alike" else [(6, 6, 4)])
