"""Sampled rows stand for all rows: weights add up, every row has its chance, and the error that is stated is true."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.probe.attention.contract import PassContext
from locant.probe.attention.rows import Rows
from locant.probe.attention.strata import reach_95, sample_rows, structural_rows, weighted_mean

CPU = torch.device("cpu")


def context(real: torch.Tensor | None, batch: int, queries: int, seed: int = 0) -> PassContext:
    """A pass without a cache."""
    padding = ~real if real is not None else None
    return PassContext(seed, batch, queries, padding, None, real, True, seed, 0)


@settings(max_examples=80)
@given(st.integers(1, 5), st.integers(1, 90), st.integers(1, 40), st.integers(0, 99), st.booleans())
def test_weights_add_up_to_the_real_rows_and_fall_on_real_rows_only(
    batch: int, queries: int, rows: int, seed: int, holes: bool
) -> None:
    drawn = torch.rand(batch, queries, generator=torch.Generator().manual_seed(seed))
    real = drawn < 0.6 if holes else torch.ones(batch, queries, dtype=torch.bool)
    found = sample_rows(context(real, batch, queries, seed), rows, CPU)
    torch.testing.assert_close(found.weights.sum(1), found.of(real).sum(1).float(), rtol=1e-5, atol=1e-5)
    hit = found.of(real).gather(1, found.queries)
    assert bool((hit | (found.weights == 0)).all())
    assert found.queries.shape[0] <= max(rows, 1)


@settings(max_examples=60)
@given(st.integers(2, 500), st.integers(4, 64))
def test_no_stratum_is_much_wider_than_one_of_as_many_equal_ones(queries: int, rows: int) -> None:
    found = sample_rows(context(None, 1, queries), rows, CPU)
    assert float(found.weights.max()) <= 4 / 3 * queries / min(rows, queries) + 1


def test_every_row_stands_for_itself_on_average() -> None:
    queries, rounds = 60, 3000
    stands_for = torch.zeros(queries)
    for seed in range(rounds):
        found = sample_rows(context(None, 1, queries, seed), 16, CPU)
        stands_for.index_add_(0, found.queries[0], found.weights[0])
    torch.testing.assert_close(stands_for / rounds, torch.ones(queries), rtol=0, atol=0.2)
    assert abs(float((stands_for / rounds).mean()) - 1) < 1e-4


def test_rows_at_the_start_are_drawn_more_often_than_their_share() -> None:
    found = sample_rows(context(None, 1, 4096), 32, CPU)
    assert int((found.queries < 64).sum()) >= 6


def test_padded_sequences_are_sampled_as_often_as_long_ones() -> None:
    real = torch.arange(100) >= torch.tensor([0, 95])[:, None]
    found = sample_rows(context(real, 2, 100), 32, CPU)
    assert found.queries.shape == (2, 16)
    assert bool((found.queries[1] >= 95).all())


def test_with_more_sequences_than_rows_all_lengths_are_represented() -> None:
    lengths = torch.randperm(64, generator=torch.Generator().manual_seed(0)) + 1
    real = torch.arange(64) < lengths[:, None]
    found = sample_rows(context(real, 64, 64, 3), 8, CPU)
    assert found.sequences is not None
    taken = lengths[found.sequences]
    assert int(taken.min()) <= 8
    assert int(taken.max()) > 56


def test_the_same_seed_draws_the_same_rows_and_another_draws_others() -> None:
    one, same, other = (sample_rows(context(None, 2, 300, seed), 32, CPU) for seed in (7, 7, 8))
    assert torch.equal(one.queries, same.queries)
    assert not torch.equal(one.queries, other.queries)


def test_structure_is_looked_at_at_both_ends_and_past_the_window() -> None:
    real = torch.arange(50) >= torch.tensor([0, 20])[:, None]
    found = structural_rows(context(real, 2, 50), 16, CPU)
    assert {0, 16, 48, 49} <= set(found.queries[0].tolist())
    assert {20, 36, 48, 49} <= set(found.queries[1].tolist())


def _curves(length: int) -> dict[str, torch.Tensor]:
    place = torch.arange(length, dtype=torch.float64)
    noise = torch.rand(length, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return {
        "entropy": (place + 2).log(),
        "share": 0.3 + 0.2 * noise,
        "distance": place * (0.4 + 0.2 * noise),
        "sink": (0.5 + noise) / (place + 1),
    }


def test_the_stated_interval_covers_the_mean_of_smooth_noisy_and_front_loaded_statistics() -> None:
    rounds = 200
    for batch, length in ((1, 1024), (8, 256), (32, 64)):
        for name, curve in _curves(length).items():
            if name == "sink" and batch == 32:
                continue  # a single row of each sequence: few of them are first ones
            values = curve * torch.linspace(0.5, 1.5, batch, dtype=torch.float64)[:, None]
            hits = 0
            for seed in range(rounds):
                rows: Rows = sample_rows(context(None, batch, length, seed), 32, CPU)
                mean, error = weighted_mean(values.gather(1, rows.queries), rows.weights.double())
                hits += bool((mean - values.mean()).abs() <= reach_95(rows.weights) * error)
            assert hits / rounds >= 0.9, (name, batch, hits / rounds)


@settings(max_examples=10)
@given(st.integers(1, 40), st.integers(1, 300), st.integers(1, 40), st.integers(0, 99))
def test_over_many_seeds_the_weighted_mean_is_the_mean_of_all_rows(
    batch: int, queries: int, rows: int, seed: int
) -> None:
    """Within four of its own standard errors; of a value whose first rows are a thousand times the last ones."""
    drawn = torch.rand(batch, queries, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    values = drawn / torch.arange(1, queries + 1)
    found = []
    for draw in range(200):
        sample = sample_rows(context(None, batch, queries, seed * 1000 + draw), rows, CPU)
        found.append(weighted_mean(values[sample.index(), sample.queries], sample.weights.double())[0])
    means = torch.stack(found)
    apart = float((means.mean() - values.mean()).abs())
    assert apart <= 4 * float(means.std()) / len(found) ** 0.5 + 1e-6 * float(values.mean())


def test_the_interval_is_wider_than_two_errors_where_few_rows_carry_it() -> None:
    many, few = (sample_rows(context(None, 1, 4096), rows, CPU).weights for rows in (256, 4))
    assert 1.96 < reach_95(many) < 2.0
    assert 2.5 < reach_95(few) < 6
