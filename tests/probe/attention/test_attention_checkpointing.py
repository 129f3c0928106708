"""Activation checkpointing computes layers, or the whole model, again in the backward pass: that is no second pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from probe.tinies import causal, tokens

HOW = pytest.mark.parametrize("reentrant", [True, False])


class Block(nn.Module):
    """A hand-written layer."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(16, 48)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.project(x).view(*x.shape[:2], 3, 2, 8).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return x + mixed.transpose(1, 2).reshape(x.shape)


class Checkpointed(nn.Module):
    """A hand-written model that keeps only the inputs of its layers."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.embed = nn.Embedding(64, 16)
        self.layers = nn.ModuleList(Block() for _ in range(3))

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(input_ids)
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=self.reentrant)
        return x


def _step(model: nn.Module, **given: Any) -> list[torch.Tensor]:
    """One step of training: the output, and every gradient."""
    model.zero_grad()
    with torch.enable_grad():
        output = model(**given)
        logits = getattr(output, "logits", output)
        logits.float().pow(2).mean().backward()
    return [logits.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


def _hand_written(reentrant: bool) -> tuple[nn.Module, dict[str, Any]]:
    torch.manual_seed(0)
    return Checkpointed(reentrant), {"input_ids": tokens(2, 8)}


def _transformers(reentrant: bool) -> tuple[nn.Module, dict[str, Any]]:
    model = causal("llama", attn="sdpa", num_hidden_layers=3).train()
    begin = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
    begin({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    return model, {"input_ids": tokens(2, 8), "use_cache": False}


def _counted(model: nn.Module) -> list[int]:
    """Grows with every call of a layer's first projection."""
    calls: list[int] = []
    for name, module in model.named_modules():
        if name.endswith(("q_proj", "project")):
            module.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


@HOW
@pytest.mark.parametrize("make", [_hand_written, _transformers])
def test_a_layer_that_is_computed_again_is_counted_once_and_gradients_keep_their_bits(
    watch_model: Any, make: Any, reentrant: bool
) -> None:
    model, given = make(reentrant)
    calls = _counted(model)
    bare = _step(model, **given)
    assert len(calls) == 6
    seen = watch_model(model, attention_rate=1.0, rotary_rate=1.0, attention_layers=(0, 1, 2))
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(bare, _step(model, **given), strict=True))
    assert [facts.pass_number for facts in seen.passes] == [1, 2]
    assert [(layer.pass_number, layer.layer) for layer in seen.attention] == [(n, i) for n in (1, 2) for i in range(3)]
    assert len({layer.rows for layer in seen.attention}) == 1
    assert all("attention" in facts.seen for facts in seen.passes)


@HOW
def test_a_whole_model_that_is_computed_again_is_one_pass(watch_model: Any, reentrant: bool) -> None:
    model = causal("llama", attn="sdpa")
    calls = _counted(model)
    seen = watch_model(model, attention_rate=1.0)
    scale = torch.ones((), requires_grad=True)

    def forward(scale: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(input_ids=tokens(2, 8), use_cache=False).logits * scale
        return logits

    with torch.enable_grad():
        checkpoint(forward, scale, use_reentrant=reentrant).sum().backward()
    assert len(calls) == 4
    assert len(seen.passes) == 1
    assert [layer.layer for layer in seen.attention] == [0, 1]


def test_a_pass_between_a_forward_and_its_backward_keeps_its_own_layers(watch_model: Any) -> None:
    model, given = _transformers(False)
    seen = watch_model(model, attention_rate=1.0)
    with torch.enable_grad():
        first = model(**given).logits
        second = model(input_ids=tokens(2, 5), use_cache=False).logits
        first.sum().backward()
        third = model(input_ids=tokens(1, 4), use_cache=False).logits
        (second.sum() + third.sum()).backward()
    assert [facts.rows[0].real for facts in seen.passes] == [8, 5, 4]
    assert [layer.pass_number for layer in seen.attention] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
