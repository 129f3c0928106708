"""Golden values of the interval and the evidence, and the buckets' borders."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb, exp, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_slo.catalogue.labels import LENGTH_BUCKET, POSITION_BUCKET
from locant_slo.statistics import (
    bucket_index,
    length_bucket,
    mean_shift,
    paired_log_evidence,
    position_bucket,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("alpha", "alarms"),
    [(0.01, [(9, 0), (13, 1), (15, 2), (18, 3), (22, 5), (32, 10)]), (0.001, [(13, 0), (17, 1), (20, 2), (22, 3)])],
)
def test_evidence_alarms_exactly_where_the_table_says(alpha: float, alarms: list[tuple[int, int]]) -> None:
    for failing, passing in alarms:
        assert paired_log_evidence(failing, passing) > log(1 / alpha)
        assert paired_log_evidence(failing - 1, passing) <= log(1 / alpha)


def test_evidence_without_flips_is_one() -> None:
    assert paired_log_evidence(0, 0) == pytest.approx(0.0)


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=50)
def test_evidence_is_a_fair_bet_under_the_null(failing: int, passing: int) -> None:
    """E[next value] over a fair coin equals the present value: a martingale, which is why one may look at any time."""
    now = exp(paired_log_evidence(failing, passing))
    after = 0.5 * exp(paired_log_evidence(failing + 1, passing)) + 0.5 * exp(paired_log_evidence(failing, passing + 1))
    assert after == pytest.approx(now, rel=1e-9)


def test_evidence_equals_the_integral_it_stands_for() -> None:
    """2^(b+c) times the mean of p^b (1-p)^c over p uniform on (1/2, 1), in fractions."""
    failing, passing = 7, 3
    integral = sum(
        Fraction((-1) ** j * comb(passing, j), failing + j + 1) * (1 - Fraction(1, 2 ** (failing + j + 1)))
        for j in range(passing + 1)
    )
    assert exp(paired_log_evidence(failing, passing)) == pytest.approx(float(2 ** (failing + passing + 1) * integral))


def test_false_alarms_stay_under_alpha_however_often_one_looks() -> None:
    source = random.Random(1)
    alarms = 0
    for _ in range(1000):
        failing = passing = 0
        for _ in range(60):
            flip = source.random() < 0.5
            failing, passing = failing + flip, passing + (not flip)
            if paired_log_evidence(failing, passing) > log(100):
                alarms += 1
                break
    assert alarms <= 20


@pytest.mark.parametrize(("objective", "trials"), [(0.99, 381), (0.95, 73)])
def test_wilson_needs_this_many_clean_trials_to_prove_an_objective(objective: float, trials: int) -> None:
    assert wilson_interval(trials, trials)[0] >= objective > wilson_interval(trials - 1, trials - 1)[0]


def test_wilson_agrees_with_published_values() -> None:
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(0, 500), st.integers(1, 500))
@settings(max_examples=50)
def test_wilson_holds_the_observed_ratio_and_reaches_a_border_only_where_all_agree(successes: int, trials: int) -> None:
    successes = min(successes, trials)
    lower, upper = wilson_interval(successes, trials)
    assert 0 <= lower <= successes / trials <= upper <= 1
    assert (lower == 0) == (successes == 0)
    assert (upper == 1) == (successes == trials)


@pytest.mark.parametrize(
    ("tokens", "bucket"), [(1, 0), (128, 0), (129, 1), (256, 1), (512, 2), (1024, 3), (1025, 4), (2048, 4), (2049, 5)]
)
def test_length_buckets_include_their_upper_bound(tokens: int, bucket: int) -> None:
    assert length_bucket(tokens, 1024) == LENGTH_BUCKET.values[bucket]


def test_an_unknown_trained_length_has_a_bucket_of_its_own() -> None:
    assert length_bucket(10, None) == LENGTH_BUCKET.values[-1]


@given(st.integers(0, 4096))
@settings(max_examples=50)
def test_position_buckets_are_fifths_and_beyond(position: int) -> None:
    assert position_bucket(position, 1000) == POSITION_BUCKET.values[min(position // 200, 5)]


def test_a_value_on_an_edge_belongs_below_it_and_infinity_above_all() -> None:
    assert [bucket_index(value, (1.0, 2.0)) for value in (0.5, 1.0, 1.5, 2.0, 2.5, float("inf"))] == [0, 0, 1, 1, 2, 2]


def test_a_shift_is_no_number_until_both_sides_have_enough_rows() -> None:
    assert mean_shift(10.0, 100, 10.0, 99, 100) is None
    assert mean_shift(0.0, 0, 0.0, 0, 0) is None
    assert mean_shift(30.0, 100, 10.0, 100, 100) == pytest.approx(0.2)
    assert mean_shift(3.0, 1, 2.0, 1, 0) == pytest.approx(1.0)
