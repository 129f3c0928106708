"""Healthy traffic is never reported: every family, padding side and dtype, whatever row is drawn."""

from __future__ import annotations

import pytest
import torch
from replay_bed import build, decode, prefill, replaying

DTYPES = [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "bert", "bert_mlm", "classifier"])
def test_batches_padded_on_either_side_come_out_the_same(family, dtype):
    model = build(family, dtype)
    sides = ["right"] if family.startswith("bert") else ["left", "right"]
    with replaying(model) as hands:
        for seed in range(12):
            prefill(model, 1 + seed % 4, 12 + seed, sides[seed % len(sides)], seed)
            assert hands.later()
        assert (hands.replay.passed_over, hands.replay.errors) == (0, 0)
        assert hands.replay.done["alone"] == hands.replay.done["neighbour"] == 12
        assert hands.findings() == []


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom"])
def test_requests_are_followed_through_decode(family, dtype):
    model = build(family, dtype)
    with replaying(model) as hands:
        for seed in range(12):
            decode(model, 1 + seed % 3, 10 + seed, seed)
            assert hands.later()
        assert {len(one.differences) for one in hands.facts} == {5}
        assert hands.replay.done["shifted"] == (12 if family == "llama" else 0)
        assert hands.findings() == []


@pytest.mark.parametrize(
    "arguments", [{}, {"num_beams": 3}, {"do_sample": True}, {"num_beams": 2, "do_sample": True}], ids=str
)
def test_generate_with_beams_and_sampling_is_left_alone(arguments):
    model = build("llama")
    with replaying(model) as hands:
        for seed in range(6):
            torch.manual_seed(seed)
            ids = torch.randint(1, 97, (2, 9))
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, **arguments)
            assert hands.later()
        assert hands.replay.done["alone"] == 6
        assert hands.findings() == []


def test_autocast_is_replayed_under_autocast():
    model = build("llama")
    with replaying(model) as hands:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            prefill(model, 3, 20, "left", 1)
        assert hands.later()
        assert {one.dtype for one in hands.facts} == {"bfloat16"}
        assert hands.findings() == []


def test_packed_rows_and_cached_prefixes_are_passed_over():
    model = build("llama")
    ids = torch.randint(1, 97, (1, 12))
    with replaying(model) as hands, torch.no_grad():
        model(input_ids=ids, position_ids=torch.tensor([[*range(5), *range(7)]]))
        assert hands.later()
        assert hands.replay.passed_over == 1
        cache = model(input_ids=ids, use_cache=True).past_key_values
        hands.later()
        hands.facts.clear()
        model(input_ids=ids, past_key_values=cache)
        assert not hands.later()
        assert hands.facts == []
