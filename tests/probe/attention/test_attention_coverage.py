"""A model whose attention cannot be read says so: silence of the checks must not read as health."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from probe.tinies import causal, tokens

pytest.importorskip("transformers")


class Recurrent(nn.Module):
    """A language model without any attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, 16)
        self.mix = nn.GRU(16, 16, batch_first=True)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.mix(self.embed(input_ids))[0]
        return mixed


def test_a_model_without_readable_attention_does_not_claim_to_be_seen(watch_model: Any) -> None:
    model = Recurrent().eval()
    seen = watch_model(model, attention_rate=1.0)
    model(tokens(2, 12))
    assert [("attention" in facts.seen, facts.error) for facts in seen.passes] == [(False, "")]
    assert seen.attention == []


@pytest.mark.parametrize("attn", ["eager", "sdpa"])
def test_a_model_whose_attention_was_read_says_so_until_the_next_look(watch_model: Any, attn: str) -> None:
    model = causal("llama", attn=attn)
    seen = watch_model(model, attention_rate=1e-9)
    for _ in range(6):
        model(input_ids=tokens(2, 12))
    assert all("attention" in facts.seen for facts in seen.passes)
    assert {facts.pass_number for facts in seen.attention} < {facts.pass_number for facts in seen.passes}


def test_attention_that_is_switched_off_is_not_seen(watch_model: Any) -> None:
    model = causal("llama")
    seen = watch_model(model, attention_rate=0.0)
    model(input_ids=tokens(2, 12))
    assert "attention" not in seen.passes[0].seen


def test_closing_leaves_the_lookup_and_torch_as_they_were(watch_model: Any) -> None:
    from transformers.modeling_utils import AttentionInterface

    before = AttentionInterface.get_interface, torch.nn.functional.scaled_dot_product_attention, torch.softmax
    model = causal("llama", attn="sdpa")
    seen = watch_model(model, attention_rate=1.0)
    model(input_ids=tokens(2, 12))
    seen.probe.close()
    after = AttentionInterface.get_interface, torch.nn.functional.scaled_dot_product_attention, torch.softmax
    assert after == before
