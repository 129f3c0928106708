"""Under autocast and in inference mode the statistics are those of the queries and keys that the kernel multiplies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from locant.probe.attention.calls import KernelCall
from locant.probe.attention.contract import STATISTICS, LayerStatistics
from locant.probe.attention.reference import reference_statistics
from probe.attention.test_attention_capture import context_of, watching
from probe.tinies import causal, left_padded

HALVES = (torch.bfloat16, torch.float16)


class Rotated(nn.Module):
    """A hand-written layer whose rotation leaves queries and keys in float32, as most do under autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(16, 48)

    def heads(self, x: torch.Tensor) -> torch.Tensor:
        angles = torch.arange(x.shape[1])[:, None] * torch.tensor([1.0, 0.1, 0.01, 0.001]).repeat(2)
        parts = self.project(x).view(*x.shape[:2], 3, 2, 8).permute(2, 0, 3, 1, 4)
        return parts * angles.cos() + parts.roll(4, -1) * angles.sin()

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        query, key, value = self.heads(x)
        return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)


def _sums(call: KernelCall, rows: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
    """What the statistics of these rows, bool [B, Q], add up to by definition, float64 [S, H]."""
    wanted = reference_statistics(call, 0, padding=padding)
    return torch.stack([wanted[name].permute(0, 2, 1)[rows].sum(0) for name in STATISTICS])


@pytest.mark.parametrize("dtype", HALVES)
def test_a_kernel_under_autocast_multiplies_rounded_numbers_and_those_are_read(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model, x = Rotated(), torch.randn(2, 9, 16)
    bias = torch.randn(9, 9).masked_fill(torch.ones(9, 9).triu(1).bool(), -torch.inf)
    real = torch.ones(2, 9, dtype=torch.bool)
    with torch.autocast("cpu", dtype), watching(model, context_of(real.long())) as found:
        bare = model(x, bias)
        query, key, _ = model.heads(x)
    assert query.dtype == torch.float32
    assert bare.dtype == dtype
    scale = 8**-0.5
    rounded = KernelCall(query.to(dtype), key.to(dtype), scale, mask=bias.to(dtype)[None, None])
    wanted = _sums(rounded, real, ~real)
    torch.testing.assert_close(found[0].sums.double(), wanted, rtol=1e-5, atol=1e-5)
    exact = _sums(KernelCall(query, key, scale, mask=bias[None, None]), real, ~real)
    assert not torch.allclose(exact, wanted, rtol=1e-5, atol=1e-5)


def test_a_layer_that_is_not_measured_is_not_rounded_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rounded: list[int] = []
    monkeypatch.setattr("locant.probe.attention.armed.as_cast", lambda call, dtype: rounded.append(1) or call)
    ids, mask = left_padded(9, 4)
    model = causal("llama", attn="sdpa", num_hidden_layers=4)
    with torch.autocast("cpu", torch.bfloat16), watching(model, context_of(mask), layers=(2,)):
        model(input_ids=ids, attention_mask=mask)
    assert len(rounded) == 1


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("attn", ["eager", "sdpa"])
@pytest.mark.parametrize("dtype", [None, *HALVES])
def test_every_mode_in_which_a_model_runs_gives_the_statistics_of_its_own_queries_and_keys(
    monkeypatch: pytest.MonkeyPatch, mode: Callable[[], Any], attn: str, dtype: torch.dtype | None
) -> None:
    ids, mask = left_padded(12, 5)
    model = causal("llama", attn=attn)
    with mode(), torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        bare = model(input_ids=ids, attention_mask=mask).logits
        handed = _handed(monkeypatch)
        with watching(model, context_of(mask)) as found:
            seen = model(input_ids=ids, attention_mask=mask).logits
    assert torch.equal(bare, seen)
    assert len(found) == len(handed) == 2
    for layer, (query, key) in zip(found, handed, strict=True):
        _assert_by_definition(layer, query.to(dtype or query.dtype), key.to(dtype or key.dtype), mask.bool())


def _assert_by_definition(layer: LayerStatistics, query: torch.Tensor, key: torch.Tensor, real: torch.Tensor) -> None:
    keep = torch.ones(real.shape[1], real.shape[1]).tril().bool() & real[:, None, None]
    wanted = _sums(KernelCall(query, key, query.shape[-1] ** -0.5, mask=keep), real, ~real)
    torch.testing.assert_close(layer.sums.double(), wanted, rtol=1e-5, atol=1e-5)


def _handed(patch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Queries and keys as Llama's layers hand them to their attention function, collected from now on."""
    from transformers.models.llama import modeling_llama

    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    rotate = modeling_llama.apply_rotary_pos_emb

    def keeping(*args: Any, **kwargs: Any) -> Any:
        kept.append(rotate(*args, **kwargs))
        return kept[-1]

    patch.setattr(modeling_llama, "apply_rotary_pos_emb", keeping)
    return kept
