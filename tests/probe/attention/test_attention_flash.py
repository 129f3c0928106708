"""flash-attn's functions are met however a model came by them, and read as they compute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from locant.probe.attention.contract import STATISTICS, LayerStatistics, PassContext
from locant.probe.attention.visibility import COLUMNS
from probe.attention.capturing import armed, assert_weights, plain_context

ENTROPY, FUTURE = STATISTICS.index("entropy"), STATISTICS.index("future_mass")


def weights_of(model: Any, *given: Any, **more: Any) -> tuple[list[Tensor], Tensor]:
    """The double's attention matrices, one for each sequence [H, Q, K], and the output."""
    from flash_attn import dense

    dense.calls.clear()
    output = model(*given, **more)
    return list(dense.calls), output


def assert_dense(found: list[LayerStatistics], weights: list[Tensor]) -> None:
    """One layer, all rows of a batch that is aligned at its last keys."""
    (layer,) = found
    queries, keys = weights[0].shape[1:]
    own = torch.arange(queries) + keys - queries
    assert_weights(layer, torch.cat(weights, 1), own.repeat(len(weights)))


@pytest.mark.parametrize("kind", ["Named", "Dotted", "KeptInstance", "KeyValuesPacked", "AllPacked"])
def test_a_function_is_met_by_whatever_name_a_model_has_it(flash: Any, kind: str) -> None:
    model, x = getattr(flash, kind)(causal=True), torch.randn(3, 10, 16)
    weights, bare = weights_of(model, x)
    with armed(model, plain_context(3, 10)) as found:
        seen = model(x)
    assert torch.equal(bare, seen)
    assert_dense(found, weights)
    assert found[0].visibility.max() == 0


@pytest.mark.parametrize(
    "given",
    [
        {"causal": True, "window_size": (3, 0)},
        {"causal": True, "window_size": (3, 5)},
        {"causal": False},
        {"causal": False, "window_size": (2, 3)},
        {"causal": False, "window_size": (2, -1)},
        {"causal": False, "window_size": (-1, 1)},
        {"causal": True, "softcap": 0.5, "softmax_scale": 0.7},
        {"causal": True, "alibi_slopes": torch.tensor([0.5, 0.25, 0.125, 0.0625])},
        {"causal": True, "alibi_slopes": torch.rand(3, 4), "window_size": (4, -1), "softcap": 2.0},
    ],
)
def test_what_shapes_the_weights_is_read_as_the_kernel_does_it(flash: Any, given: dict[str, Any]) -> None:
    model, x = flash.Named(**given), torch.randn(3, 10, 16)
    weights, _ = weights_of(model, x)
    with armed(model, plain_context(3, 10, causal=False)) as found:
        model(x)
    future = found[0].sums[FUTURE].clone()
    assert float(future.abs().max()) == 0
    assert_dense([replace(found[0], sums=_with_future(found[0].sums, weights))], weights)


def _with_future(sums: Tensor, weights: list[Tensor]) -> Tensor:
    """Models that look both ways report no mass on later keys: it is put back for the comparison."""
    later = torch.cat(weights, 1) * (torch.arange(10).repeat(3)[:, None] < torch.arange(10))
    found = sums.clone()
    found[FUTURE] = later.sum((1, 2))
    return found


def test_fewer_queries_than_keys_are_aligned_at_the_last_key(flash: Any) -> None:
    model = flash.Cached(2, 9, causal=True)
    x = torch.randn(2, 3, 16)
    weights, bare = weights_of(model, x, 6)
    with armed(model, plain_context(2, 3, cached=6)) as found:
        seen = model(x, 6)
    assert torch.equal(bare, seen)
    assert_dense(found, weights)
    assert found[0].visibility.max() == 0


@pytest.mark.parametrize("slopes", [None, torch.tensor([0.5, 0.25, 0.125, 0.0625])])
def test_a_cache_that_counts_every_sequence_by_itself_is_read_where_each_stands(
    flash: Any, slopes: Tensor | None
) -> None:
    model = flash.Cached(3, 12, causal=True, alibi_slopes=slopes, window_size=(6, 0))
    x, lengths = torch.randn(3, 1, 16), torch.tensor([11, 4, 0], dtype=torch.int32)
    weights, bare = weights_of(model, x, lengths)
    with armed(model, plain_context(3, 1, cached=None)) as found:
        seen = model(x, lengths)
    assert torch.equal(bare, seen)
    padded = torch.cat([torch.nn.functional.pad(row, (0, 12 - row.shape[2])) for row in weights], 1)
    assert_weights(found[0], padded, lengths.long())
    assert found[0].visibility.max() == 0


@pytest.mark.parametrize("told", [7, torch.tensor([7, 7], dtype=torch.int32)])
def test_keys_before_the_start_of_a_cache_are_not_read(flash: Any, told: Any) -> None:
    model = flash.Cached(2, 12, causal=True, cache_leftpad=torch.tensor([0, 3], dtype=torch.int32))
    x = torch.randn(2, 1, 16)
    weights, _ = weights_of(model, x, told)
    with armed(model, plain_context(2, 1, cached=None)) as found:
        model(x, told)
    first = [torch.nn.functional.pad(row, (start, 12 - 8)) for row, start in zip(weights, (0, 3), strict=True)]
    assert_weights(found[0], torch.cat(first, 1), torch.tensor([7, 7]))


BOUNDS = torch.tensor([0, 7, 12, 26], dtype=torch.int32)


def packed_context() -> PassContext:
    """A row of three declared requests."""
    request = torch.repeat_interleave(torch.arange(3), BOUNDS.diff().long())[None]
    return replace(plain_context(1, 26), key_request=request)


@pytest.mark.parametrize("given", [{}, {"window_size": (3, 0)}, {"alibi_slopes": torch.rand(3, 4)}, {"softcap": 1.0}])
@pytest.mark.parametrize("kind", ["Packed", "PackedTogether"])
def test_requests_in_a_packed_row_are_read_each_by_itself(flash: Any, kind: str, given: dict[str, Any]) -> None:
    model, x = getattr(flash, kind)(causal=True, **given), torch.randn(1, 26, 16)
    weights, bare = weights_of(model, x, BOUNDS)
    with armed(model, packed_context()) as found:
        seen = model(x, BOUNDS)
    assert torch.equal(bare, seen)
    matrix = torch.zeros(4, 26, 26, dtype=torch.float64)
    for start, stop, block in zip(BOUNDS, BOUNDS[1:], weights, strict=False):
        matrix[:, start:stop, start:stop] = block
    assert_weights(found[0], matrix, torch.arange(26))
    assert facts(found)["cross_visible"] == [0]


@pytest.mark.parametrize("wrong", [[0, 6, 12, 26], [0, 8, 12, 26], [0, 12, 26], [0, 26]])
def test_boundaries_that_are_not_those_of_the_requests_are_found(flash: Any, wrong: list[int]) -> None:
    model, x = flash.Packed(causal=True), torch.randn(1, 26, 16)
    seeds = []
    for seed in range(12):
        with armed(model, replace(packed_context(), seed=seed)) as found:
            model(x, torch.tensor(wrong, dtype=torch.int32))
        seeds.append(facts(found)["cross_visible"][0])
    assert max(seeds) > 0


def facts(found: list[LayerStatistics]) -> dict[str, list[int]]:
    """What the one layer's mask lets through, per sequence."""
    return {name: column.tolist() for name, column in zip(COLUMNS, found[0].visibility.T, strict=True)}


@pytest.mark.parametrize("causal", [True, False])
def test_a_batch_whose_padding_was_taken_out_is_read_without_it(flash: Any, causal: bool) -> None:
    model, x = flash.Unpadded(causal=causal), torch.randn(3, 9, 16)
    mask = (torch.arange(9) >= torch.tensor([0, 4, 7])[:, None]).long()
    weights, bare = weights_of(model, x, mask)
    real = mask.bool()
    context = PassContext(1, 3, 9, ~real, None, real, causal, 5, 0)
    with armed(model, context) as found:
        seen = model(x, mask)
    assert torch.equal(bare, seen)
    assert int(found[0].rows) == int(mask.sum())
    wanted = sum(-(w * torch.where(w > 0, w.log(), 0.0)).sum((1, 2)) for w in weights)
    torch.testing.assert_close(found[0].sums[ENTROPY].double(), wanted, rtol=1e-5, atol=1e-5)
    assert found[0].visibility.shape == (3, len(COLUMNS))
    assert facts(found)["cross_visible"] == [0, 0, 0]


@pytest.mark.parametrize("shift", [-2, 2])
def test_a_batch_unpadded_at_the_wrong_places_shows_sequences_to_each_other(flash: Any, shift: int) -> None:
    model, x = flash.Unpadded(causal=True), torch.randn(3, 9, 16)
    mask = (torch.arange(9) >= torch.tensor([0, 4, 5])[:, None]).long()
    context = PassContext(1, 3, 9, ~mask.bool(), None, mask.bool(), True, 5, 0)
    with armed(model, context) as found:
        model(x, mask, shift)
    assert min(facts(found)["cross_visible"]) > 0


def test_an_argument_that_is_not_understood_leaves_the_call_alone(flash: Any) -> None:
    model, x = flash.Cached(2, 9, causal=True), torch.randn(2, 1, 16)
    from locant.probe.attention.flash import flash_call

    query, key, _ = model.parts(x)
    known = {"q": query, "k_cache": model.keys, "v_cache": model.values, "cache_seqlens": 3, "k": key}
    assert flash_call(known, plain_context(2, 1, cached=None)) is not None
    for name in ("block_table", "cache_batch_idx", "rotary_cos", "qv", "attention_chunk"):
        assert flash_call({**known, name: torch.zeros(1)}, plain_context(2, 1, cached=None)) is None


def test_an_old_version_that_aligned_otherwise_is_left_alone(flash: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import flash_attn

    monkeypatch.setattr(flash_attn, "__version__", "2.0.9")
    model, x = flash.Named(causal=True), torch.randn(3, 10, 16)
    with armed(model, plain_context(3, 10)) as found:
        model(x)
    assert found == []
