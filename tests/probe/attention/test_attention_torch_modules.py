"""torch's own attention modules in every form: read as they compute, with the kernels that they would use unwatched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import locant
from locant.probe.attention.contract import STATISTICS
from locant.probe.options import ProbeOptions
from probe.attention.capturing import armed, assert_weights, plain_context

B, S, E, H = 3, 6, 16, 2
PADS = torch.arange(S) >= torch.tensor([6, 5, 2])[:, None]
LATER = torch.ones(S, S, dtype=torch.bool).triu(1)
SLOPING = -0.3 * (torch.arange(S)[:, None] - torch.arange(S)).abs().float()
MASKS: dict[str, dict[str, Tensor]] = {
    "nothing": {},
    "padding": {"key_padding_mask": PADS},
    "bool": {"attn_mask": LATER},
    "float": {"attn_mask": SLOPING},
    "per head": {"attn_mask": LATER.expand(B * H, S, S)},
    "both": {"attn_mask": LATER, "key_padding_mask": PADS},
}
pytestmark = [
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
    pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask and attn_mask"),
    pytest.mark.filterwarnings("ignore:Converting mask without torch.bool dtype"),
]


class Attending(nn.Module):
    """Self-attention by `nn.MultiheadAttention`."""

    def __init__(self, batch_first: bool, **given: Any) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(E, H, batch_first=batch_first)
        self.given = given

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.attention(x, x, x, **self.given)[0]
        return found


def reference(attention: nn.MultiheadAttention, x: Tensor, masks: dict[str, Tensor]) -> Tensor:
    """The weights of x [B, S, E] by the definition, float64 [B, H, S, S]."""
    bias = attention.in_proj_bias.double()[: 2 * E]
    both = x.double() @ attention.in_proj_weight.double()[: 2 * E].T + bias
    query, key = both.unflatten(-1, (2, H, E // H)).permute(2, 0, 3, 1, 4)
    scores = query @ key.transpose(-1, -2) * (E // H) ** -0.5
    for mask in masks.values():
        shaped = mask[:, None, None] if mask is PADS else mask.view(-1, H, S, S) if mask.dim() == 3 else mask
        scores = scores.masked_fill(shaped, -torch.inf) if mask.dtype == torch.bool else scores + shaped.double()
    return scores.softmax(-1)


def assert_read(model: nn.Module, given: Tensor, weights: Tensor, context: Any) -> None:
    """The one layer's statistics, and the same bits; models that look both ways report no mass ahead."""
    with torch.inference_mode():
        torch.manual_seed(1)
        bare = model(given)
        torch.manual_seed(1)
        with armed(model, context) as found:
            seen = model(given)
    assert torch.equal(bare, seen)
    rows = weights.transpose(0, 1).flatten(1, 2)
    own = torch.arange(weights.shape[2]).repeat(len(weights))
    ahead = (rows * (torch.arange(weights.shape[3]) > own[:, None])).sum((1, 2))
    (layer,) = found
    sums = layer.sums.clone()
    sums[STATISTICS.index("future_mass")] += ahead
    assert_weights(replace(layer, sums=sums), rows, own)


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("training", [False, True])
def test_multihead_attention_is_read_in_every_form(
    masks: str, batch_first: bool, need_weights: bool, training: bool
) -> None:
    given = MASKS[masks]
    model = Attending(batch_first, need_weights=need_weights, **given).train(training)
    x = torch.randn(B, S, E)
    weights = reference(model.attention, x, given)
    told = x if batch_first else x.transpose(0, 1)
    assert_read(model, told, weights, plain_context(B, S, causal=False))


@pytest.mark.parametrize("need_weights", [True, False])
def test_tokens_without_a_batch_are_one_sequence(need_weights: bool) -> None:
    model, x = Attending(True, need_weights=need_weights).eval(), torch.randn(S, E)
    assert_read(model, x, reference(model.attention, x[None], {}), plain_context(1, S, causal=False))


@pytest.mark.parametrize("need_weights", [True, False])
def test_tokens_in_columns_are_read_though_the_pass_took_them_for_rows(need_weights: bool) -> None:
    model, x = Attending(False, need_weights=need_weights).eval(), torch.randn(B, S, E)
    weights = reference(model.attention, x, {})
    assert_read(model, x.transpose(0, 1), weights, plain_context(S, B, causal=False))


class Stack(nn.Module):
    """A model around torch's own encoder."""

    def __init__(self, *, nested: bool, batch_first: bool = True, mask: Tensor | None = None) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(E, H, 32, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)
        self.mask = mask

    def forward(self, inputs: Tensor, src_key_padding_mask: Tensor | None = None) -> Tensor:
        found: Tensor = self.encoder(inputs, mask=self.mask, src_key_padding_mask=src_key_padding_mask)
        return found


def kernels(run: Callable[[], Any]) -> Counter[str]:
    """How often which fused kernel ran."""
    with torch.profiler.profile() as record:
        run()
    fused = ("_transformer_encoder_layer_fwd", "_native_multi_head_attention", "scaled_dot_product_attention")
    return Counter(event.name for event in record.events() if event.name.removeprefix("aten::") in fused)


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor | None, ...]]] = {
    "nested": (lambda: Stack(nested=True), (torch.randn(B, S, E), PADS)),
    "not nested": (lambda: Stack(nested=False), (torch.randn(B, S, E), PADS)),
    "causal": (lambda: Stack(nested=False, mask=LATER), (torch.randn(B, S, E),)),
    "columns": (lambda: Stack(nested=False, batch_first=False), (torch.randn(S, B, E), PADS)),
    "bare encoder": (lambda: Stack(nested=True).encoder, (torch.randn(B, S, E), None, PADS)),
    "attention": (lambda: Attending(True), (torch.randn(B, S, E),)),
    "without weights": (lambda: Attending(True, need_weights=False), (torch.randn(B, S, E),)),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_watched_model_runs_the_kernels_of_an_unwatched_one(name: str, training: bool) -> None:
    model, given = MODELS[name][0]().train(training), MODELS[name][1]

    def run() -> Tensor:
        torch.manual_seed(1)
        with torch.inference_mode():
            found: Tensor = model(*given)
        return found

    bare, wanted = run(), kernels(run)
    assert training or wanted.total() >= 1
    options = ProbeOptions(attention_rate=1.0, overhead_budget=None)
    with locant.watch(model, strict=True, options=options) as watch:
        assert torch.equal(run(), bare)
        assert kernels(run) == wanted
        assert watch.findings() == []


def test_the_fused_layer_hides_where_a_float_mask_is_not_zero_and_is_read_so() -> None:
    model, x = nn.TransformerEncoderLayer(E, H, 32, batch_first=True).eval(), torch.randn(B, S, E)
    with torch.inference_mode():
        fused, hiding = model(x, SLOPING), model(x, SLOPING != 0)
    torch.testing.assert_close(fused, hiding)

    class Biased(nn.Module):
        """The layer with the bias."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = model

        def forward(self, given: Tensor) -> Tensor:
            found: Tensor = self.layer(given, SLOPING)
            return found

    weights = reference(model.self_attn, x, {"attn_mask": SLOPING != 0})
    assert_read(Biased(), x, weights, plain_context(B, S, causal=False))
