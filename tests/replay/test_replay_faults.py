"""Faults that no mask and no position shows: the answer itself says it."""

from __future__ import annotations

from types import MethodType

import pytest
import torch
from replay_bed import build, decode, prefill, replaying

from locant_slo.findings import FailureMode


def test_pooling_that_takes_the_padded_position_is_found():
    model = build("classifier")

    class LastColumn(torch.nn.Module):
        """Takes the last column whatever it holds."""

        config = model.config

        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, input_ids, attention_mask=None):
            hidden = self.inner.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return self.inner.score(hidden[:, -1])

    with replaying(LastColumn().eval()) as hands:
        for seed in range(6):
            prefill(hands.watch.probe.model, 4, 16, "right", seed)
            assert hands.later()
        found = hands.findings()
    assert {one.failure_mode for one in found} == {FailureMode.BATCH_MIXUP}
    assert "pooling" in found[0].message


@pytest.mark.parametrize("family", ["llama", "bert_mlm"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_mask_that_is_lost_inside_the_model_is_found(family, dtype):
    model = build(family, dtype)
    inner = model.model if family == "llama" else model.bert
    inner.register_forward_pre_hook(
        lambda module, args, kwargs: (args, {**kwargs, "attention_mask": None}), with_kwargs=True
    )
    with replaying(model) as hands:
        for seed in range(16):
            prefill(model, 4, 16, "left" if family == "llama" else "right", seed)
            assert hands.later()
        assert FailureMode.BATCH_MIXUP in {one.failure_mode for one in hands.findings()}


def interleaved(tensor: torch.Tensor) -> torch.Tensor:
    return torch.stack([-tensor[..., 1::2], tensor[..., ::2]], -1).flatten(-2)


def test_another_rotary_layout_in_the_cached_path_is_found(monkeypatch):
    from transformers.models.llama import modeling_llama

    half = modeling_llama.rotate_half
    monkeypatch.setattr(modeling_llama, "rotate_half", lambda x: interleaved(x) if x.shape[-2] == 1 else half(x))
    model = build("llama")
    with replaying(model) as hands:
        decode(model, 2, 14, seed=3)
        assert hands.later()
        found = hands.findings()
    assert {one.failure_mode for one in found} == {FailureMode.STREAMING_STATE}


def slots(model, declare, *, reorder: bool) -> None:
    """An engine that lets its two requests change places after two steps, with the cache or without it."""
    ids, mask = torch.randint(1, 97, (2, 11), generator=torch.Generator().manual_seed(5)), torch.ones(2, 11)
    names = ["a", "b"]
    declare(names)
    with torch.no_grad():
        result = model(input_ids=ids, attention_mask=mask.long(), use_cache=True)
        for step in range(5):
            token, cache = result.logits[:, -1:].argmax(-1), result.past_key_values
            if step == 2:
                names, token = names[::-1], token.flip(0)
                if reorder:
                    cache.reorder_cache(torch.tensor([1, 0]))
            mask = torch.cat([mask, torch.ones(2, 1)], 1)
            declare(names)
            result = model(input_ids=token, attention_mask=mask.long(), past_key_values=cache)


@pytest.mark.parametrize("reorder", [True, False])
def test_cache_rows_that_stay_when_requests_change_places_are_found(reorder):
    model = build("llama")
    with replaying(model) as hands:
        slots(model, lambda names: hands.watch.declare(request_ids=names), reorder=reorder)
        assert hands.later()
        modes = {one.failure_mode for one in hands.findings()}
    assert modes == (set() if reorder else {FailureMode.STREAMING_STATE})


def test_rows_that_change_places_undeclared_are_followed_no_further():
    model = build("llama")
    with replaying(model) as hands:
        slots(model, lambda names: None, reorder=True)
        assert hands.later()
        assert {len(one.differences) for one in hands.facts} == {3}
        assert hands.findings() == []


def test_rotary_angles_in_bfloat16_are_found_by_the_shift():
    model = build("llama")
    rotary = model.model.rotary_emb

    def coarse(self, x, position_ids):
        angles = position_ids[..., None].bfloat16() * self.inv_freq.bfloat16()
        angles = torch.cat([angles, angles], -1)
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)

    rotary.forward = MethodType(coarse, rotary)
    with replaying(model) as hands:
        prefill(model, 1, 24, "left", 2)
        assert hands.later()
        assert FailureMode.WRONG_PARAMETERS in {one.failure_mode for one in hands.findings()}
