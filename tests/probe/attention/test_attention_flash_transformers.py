"""transformers' own way to flash attention, run with the double: padded, packed by lengths, packed by positions."""

from __future__ import annotations

import importlib
import itertools
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import locant
from locant.probe.attention.contract import STATISTICS, LayerStatistics, PassContext
from locant.probe.attention.visibility import COLUMNS
from locant.probe.options import ProbeOptions
from probe.attention.capturing import armed, assert_weights, plain_context
from probe.tinies import causal, left_padded, tiny, tokens

FUTURE = STATISTICS.index("future_mass")
CROSS = COLUMNS.index("cross_visible")
LEAK = {"packed_not_isolated"}
BOUNDS = [0, 7, 12, 26]


@pytest.fixture(autouse=True)
def double(doubles: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers finds the double where it looks for flash-attn's functions."""
    functions = importlib.import_module("flash_attn.flash_attn_interface")
    utils = importlib.import_module("transformers.modeling_flash_attention_utils")
    kernels = [getattr(functions, f"flash_attn_{name}") for name in ("func", "varlen_func", "with_kvcache")]
    padding: list[Any] = [utils._pad_input, utils._unpad_input]
    monkeypatch.setattr(utils, "_lazy_imports", lambda *_, **__: (*kernels, *padding))
    monkeypatch.setattr(utils, "_loaded_implementation", None)


def flash(model: Any) -> Any:
    """The model with flash attention; asking for it by the front door needs a GPU."""
    model.config._attn_implementation = "flash_attention_2"
    return model


def run(model: Any, context: PassContext, **given: Any) -> tuple[list[LayerStatistics], list[Tensor]]:
    """What is found, and the double's attention matrices; the bits are those of a bare forward."""
    dense = sys.modules["flash_attn.dense"]
    bare = model(**given, use_cache=False)[0]
    dense.calls.clear()
    with armed(model, context) as found:
        seen = model(**given, use_cache=False)[0]
    assert torch.equal(bare, seen)
    return found, list(dense.calls)


def packed(declared: bool = True) -> PassContext:
    """A row of three requests."""
    request = torch.repeat_interleave(torch.arange(3), torch.tensor(BOUNDS).diff())[None]
    return replace(plain_context(1, 26), key_request=request if declared else None)


def lengths(bounds: list[int]) -> dict[str, Any]:
    """What a collator without padding hands over."""
    told = torch.tensor(bounds, dtype=torch.int32)
    longest = int(told.diff().max())
    return {"cu_seq_lens_q": told, "cu_seq_lens_k": told.clone(), "max_length_q": longest, "max_length_k": longest}


def positions() -> Tensor:
    """Positions that begin anew with every request."""
    return torch.cat([torch.arange(stop - start) for start, stop in itertools.pairwise(BOUNDS)])[None]


def assert_blocks(found: list[LayerStatistics], weights: list[Tensor]) -> None:
    """Every layer has the weights of its three requests."""
    assert len(weights) == 3 * len(found)
    for n, layer in enumerate(found):
        matrix = torch.zeros(4, 26, 26, dtype=torch.float64)
        for start, stop, block in zip(BOUNDS, BOUNDS[1:], weights[3 * n : 3 * n + 3], strict=False):
            matrix[:, start:stop, start:stop] = block
        assert_weights(layer, matrix, torch.arange(26))


@pytest.mark.parametrize(("family", "changes"), [("llama", {}), ("mistral", {"sliding_window": 5})])
@pytest.mark.parametrize("told", ["lengths", "positions"])
def test_requests_of_a_packed_row_are_read_each_by_itself(told: str, family: str, changes: Any) -> None:
    model = flash(causal(family, attn="sdpa", **changes))
    given = lengths(BOUNDS) if told == "lengths" else {}
    found, weights = run(model, packed(), input_ids=tokens(1, 26), position_ids=positions(), **given)
    assert_blocks(found, weights)
    assert max(int(layer.visibility.max()) for layer in found) == 0


@pytest.mark.parametrize("wrong", [[0, 6, 12, 26], [0, 8, 12, 26], [0, 12, 26], [0, 26]])
def test_lengths_that_disagree_with_the_positions_are_found(wrong: list[int]) -> None:
    model = flash(causal("llama", attn="sdpa"))
    crossing = 0
    for seed in range(8):
        context = replace(packed(), seed=seed)
        found, _ = run(model, context, input_ids=tokens(1, 26), position_ids=positions(), **lengths(wrong))
        crossing = max(crossing, *(int(layer.visibility[0, CROSS]) for layer in found))
    assert crossing > 0


def test_positions_that_never_begin_anew_are_one_request() -> None:
    model = flash(causal("llama", attn="sdpa"))
    found, weights = run(model, packed(declared=False), input_ids=tokens(1, 26), position_ids=torch.arange(26)[None])
    for layer, matrix in zip(found, weights, strict=True):
        assert_weights(layer, matrix, torch.arange(26))


def test_requests_that_are_not_told_to_the_kernel_are_seen_together() -> None:
    model = flash(causal("llama", attn="sdpa"))
    found, _ = run(model, packed(), input_ids=tokens(1, 26))
    assert all(int(layer.visibility[0, CROSS]) > 0 for layer in found)


@pytest.mark.parametrize("window", [None, 4])
def test_padding_that_transformers_takes_out_is_not_read(window: int | None) -> None:
    ids, mask = left_padded(14, 6)
    model = flash(causal("mistral", attn="sdpa", sliding_window=window))
    real = mask.bool()
    found, weights = run(
        model, PassContext(1, 2, 14, ~real, None, real, True, 5, 0), input_ids=ids, attention_mask=mask
    )
    for n, layer in enumerate(found):
        rows = [torch.nn.functional.pad(w, (14 - w.shape[2], 0)) for w in weights[2 * n : 2 * n + 2]]
        assert_weights(layer, torch.cat(rows, 1), torch.cat([torch.arange(14), torch.arange(8, 14)]))
        assert int(layer.visibility.max()) == 0


def test_a_window_that_looks_both_ways_is_as_wide_on_both_sides() -> None:
    model = flash(tiny("modernbert", attn="sdpa", local_attention=6, global_attn_every_n_layers=2))
    ids = tokens(2, 14)
    found, weights = run(model, plain_context(2, 14, causal=False), input_ids=ids, attention_mask=torch.ones_like(ids))
    assert [(weights[2 * n] == 0).any() for n in range(2)] == [False, True]
    for n, layer in enumerate(found):
        both = torch.cat(weights[2 * n : 2 * n + 2], 1)
        own = torch.arange(14).repeat(2)
        later = (both * (torch.arange(14) > own[:, None])).sum((1, 2))
        sums = layer.sums.clone()
        sums[FUTURE] += later
        assert_weights(replace(layer, sums=sums), both, own)


@pytest.mark.parametrize(("bounds", "checks"), [(BOUNDS, set()), ([0, 8, 12, 26], LEAK), ([0, 26], LEAK)])
def test_a_watch_finds_lengths_that_disagree_with_declared_requests(bounds: list[int], checks: set[str]) -> None:
    model = flash(causal("llama", attn="sdpa"))
    options = ProbeOptions(attention_rate=1.0, overhead_budget=None)
    with locant.watch(model, strict=True, options=options) as watch:
        for seed in range(6):
            watch.declare(segments=[[7, 5, 14]])
            model(input_ids=tokens(1, 26, seed), position_ids=positions(), use_cache=False, **lengths(bounds))
        assert watch.flush(timeout=20.0)
        assert {finding.check for finding in watch.findings()} == checks
