"""Wasserstein-1 in octaves: a metric, on a unit that one can explain."""

from __future__ import annotations

import random
from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_slo.catalogue.metrics import SEQUENCE_LENGTH
from locant_slo.statistics import bucket_index, merge_counts, wasserstein_octaves

EDGES = SEQUENCE_LENGTH.buckets
BUCKETS = len(EDGES) + 1

histograms = st.lists(st.integers(0, 1000), min_size=BUCKETS, max_size=BUCKETS).filter(any)


def histogram(lengths: list[int] | list[float]) -> list[int]:
    counts = [0] * BUCKETS
    for length in lengths:
        counts[bucket_index(length, EDGES)] += 1
    return counts


def lognormal_lengths(count: int, seed: int = 7) -> list[int]:
    source = random.Random(seed)
    return [max(14, round(source.lognormvariate(5.2, 0.8))) for _ in range(count)]


@given(histograms, histograms)
@settings(max_examples=50)
def test_distance_is_symmetric_and_not_negative(a: list[int], b: list[int]) -> None:
    assert wasserstein_octaves(a, b, EDGES) == pytest.approx(wasserstein_octaves(b, a, EDGES))
    assert wasserstein_octaves(a, b, EDGES) >= 0


@given(histograms, histograms, histograms)
@settings(max_examples=50)
def test_distance_obeys_the_triangle_inequality(a: list[int], b: list[int], c: list[int]) -> None:
    direct = wasserstein_octaves(a, c, EDGES)
    assert direct <= wasserstein_octaves(a, b, EDGES) + wasserstein_octaves(b, c, EDGES) + 1e-9


@given(histograms, st.integers(1, 50))
@settings(max_examples=50)
def test_distance_does_not_depend_on_how_many_were_counted(a: list[int], factor: int) -> None:
    assert wasserstein_octaves(a, [factor * count for count in a], EDGES) == pytest.approx(0, abs=1e-12)


@given(st.lists(histograms, min_size=1, max_size=5))
@settings(max_examples=50)
def test_merging_histograms_is_counting_everything_in_one(parts: list[list[int]]) -> None:
    merged = merge_counts(parts, BUCKETS)
    assert merged == [sum(column) for column in zip(*parts, strict=True)]
    assert merge_counts(parts[::-1], BUCKETS) == merged


@pytest.mark.parametrize("octaves", [1, 2, 3])
def test_twice_as_long_is_one_octave(octaves: int) -> None:
    lengths = lognormal_lengths(2000)
    longer = [length * 2**octaves for length in lengths]
    assert wasserstein_octaves(histogram(longer), histogram(lengths), EDGES) == pytest.approx(octaves, rel=0.03)


def test_a_quarter_longer_is_a_third_of_an_octave() -> None:
    lengths = lognormal_lengths(20_000)
    longer = [length * 1.25 for length in lengths]
    assert wasserstein_octaves(histogram(longer), histogram(lengths), EDGES) == pytest.approx(0.322, abs=0.02)


def test_a_template_that_grows_across_a_power_of_two_is_no_drift() -> None:
    assert wasserstein_octaves(histogram([512] * 60 + [100] * 40), histogram([520] * 60 + [100] * 40), EDGES) < 0.02


def test_edges_are_half_octaves_with_powers_of_two_inside_a_bucket() -> None:
    assert len(EDGES) == 28
    assert EDGES[0] == 13
    assert EDGES[-1] == 155_872
    assert not {float(2**k) for k in range(4, 18)} & set(EDGES)


@given(st.integers(0, BUCKETS - 2), st.integers(0, BUCKETS - 2))
@settings(max_examples=50)
def test_two_single_lengths_are_as_far_apart_as_their_buckets(one: int, other: int) -> None:
    octaves = abs(log2(EDGES[one] / EDGES[other]))
    assert wasserstein_octaves(histogram([EDGES[one]]), histogram([EDGES[other]]), EDGES) == pytest.approx(octaves)


def test_an_empty_side_is_refused_instead_of_called_equal() -> None:
    for sides in ([0] * BUCKETS, histogram([20])), (histogram([20]), [0] * BUCKETS):
        with pytest.raises(ValueError, match="without observations"):
            wasserstein_octaves(*sides, EDGES)
    with pytest.raises(ValueError, match="do not fit"):
        wasserstein_octaves([1, 2], histogram([20]), EDGES)
