"""A price jumps up at once, comes down slowly, fades while nobody looks, and is bounded by what other efforts took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locant.probe.effort import ATTENTION_EFFORTS, ROTARY_EFFORTS, Effort, Interest, attention_efforts, whole_efforts
from locant.probe.estimates import Estimates, Price
from locant.probe.sampling import Sampler

KIND, OTHER, DECODE = ("prefill", 7), ("prefill", 8), ("decode", 1)
ONE = Effort(8, 2)
SECONDS = st.floats(1e-6, 10)


def known(*looks: tuple[float, float], effort: Effort = ONE) -> Estimates:
    """Looks at one kind, each what it took and when."""
    estimates = Estimates()
    for seconds, at in looks:
        estimates.note("attention", KIND, effort, seconds, at)
    return estimates


def price(estimates: Estimates, at: float, effort: Effort = ONE) -> Price:
    found = estimates.expect("attention", KIND, effort, at)
    assert found is not None
    return found


def test_without_a_look_there_is_no_price_and_a_guess_of_nothing():
    assert Estimates().expect("attention", KIND, ONE, 0.0) is None
    assert Estimates().guess("attention", KIND, ONE, 0.0) == Price(0.0, 0.0)


@given(SECONDS, SECONDS)
def test_a_price_goes_up_at_once_and_a_third_of_the_way_down(first: float, second: float):
    expected = price(known((first, 0.0), (second, 0.0)), 0.0).expected
    assert expected == pytest.approx(max(second, first + 0.3 * (second - first)))


def test_a_price_halves_every_minute_without_a_look_and_one_forgotten_too_early_every_two():
    assert price(known((1.0, 0.0)), 60.0).expected == pytest.approx(0.5)
    assert price(known((1.0, 0.0), (0.9, 60.0)), 120.0).expected == pytest.approx(0.45)  # less than twice the price
    stubborn = known((1.0, 0.0), (1.0, 120.0))
    assert price(stubborn, 240.0).expected == pytest.approx(0.5)
    stubborn.note("attention", KIND, ONE, 1.0, 600.0)
    assert price(stubborn, 600.0 + 240.0).expected == pytest.approx(0.5)
    stubborn.note("attention", KIND, ONE, 1.0, 601.0)
    assert price(stubborn, 661.0).expected == pytest.approx(0.5)
    assert price(known((1.0, 0.0), (1.0, 80.0)), 200.0).expected == pytest.approx(0.5)  # two and a half times it
    dearer = known((1.0, 0.0), (5.0, 0.0))  # dearer than ever is no price that was forgotten
    assert price(dearer, 60.0).expected == pytest.approx(2.5)


@given(st.lists(SECONDS, min_size=1, max_size=5))
def test_the_least_is_the_least_of_at_least_two_looks(took: list[float]):
    least = price(known(*((seconds, 0.0) for seconds in took)), 0.0).least
    assert least == (min(took) if len(took) > 1 else 0.0)


@pytest.mark.parametrize(
    ("effort", "times"),
    [
        (Effort(8, 2), 1),
        (Effort(4, 1), 1),
        (Effort(16, 2), 2),
        (Effort(8, 6), 3),
        (Effort(16, 6), 6),
        (Effort(4, 6), 3),
        (Effort(16, 1), 2),
        (Effort(8, 2, 4), 1.5),
        (Effort(16, 2, 2), 3),
    ],
)
def test_another_effort_takes_no_more_than_in_proportion_and_no_less_is_believed_of_a_smaller_one(effort, times):
    twice = known((1.0, 0.0), (2.0, 0.0))
    assert price(twice, 60.0, effort).least == pytest.approx(times)
    if effort != ONE:
        assert price(twice, 60.0, effort).expected == pytest.approx(2.0 * times)  # a bound does not fade
    assert price(known((1.0, 0.0), effort=Effort(8, 2, 4)), 0.0, Effort(8, 2, 9)).expected == 1.0


def test_of_several_known_efforts_the_one_that_bounds_most_is_believed_and_a_single_look_bounds_the_least():
    estimates = known((1.0, 0.0), (1.0, 0.0))
    estimates.note("attention", KIND, Effort(4, 2), 0.2, 0.0)
    assert price(estimates, 0.0, Effort(16, 2)) == Price(pytest.approx(0.8), pytest.approx(2.0))
    assert price(estimates, 0.0, Effort(4, 2)) == Price(pytest.approx(0.2), pytest.approx(0.2))
    estimates.note("attention", KIND, Effort(4, 2), 0.2, 0.0)
    assert price(estimates, 0.0, Effort(16, 2)) == Price(pytest.approx(0.8), pytest.approx(0.8))


def test_a_guess_is_the_dearest_kind_of_the_phase_for_the_same_subject():
    estimates = Estimates()
    for subject, kind, seconds in (
        ("attention", KIND, 1.0),
        ("attention", ("prefill", 9), 3.0),
        ("attention", DECODE, 9.0),
        ("rotary", KIND, 8.0),
    ):
        estimates.note(subject, kind, ONE, seconds, 0.0)
    assert estimates.guess("attention", OTHER, ONE, 0.0) == Price(3.0, 0.0)
    assert estimates.guess("attention", OTHER, ONE, 60.0).expected == pytest.approx(1.5)
    assert estimates.expect("attention", OTHER, ONE, 0.0) is None


def test_a_thousand_kinds_are_remembered_and_the_oldest_forgotten():
    estimates = Estimates()
    for number in range(1100):
        estimates.note("attention", ("prefill", number), ONE, 1.0, 0.0)
    remembered = [estimates.expect("attention", ("prefill", number), ONE, 0.0) is not None for number in range(1100)]
    assert 1024 <= sum(remembered) <= 1025
    assert all(remembered[-1024:])


def test_the_efforts_of_thirty_two_rows_are_these():
    assert attention_efforts(32) == (Effort(32, 4), Effort(16, 4), Effort(16, 2), Effort(8, 1)) == ATTENTION_EFFORTS
    assert attention_efforts(3) == (Effort(3, 4), Effort(1, 4), Effort(1, 2), Effort(1, 1))
    assert [effort.rows for effort in whole_efforts(32, 24)] == [128, 64, 32, 16, 8, 8]
    assert [effort.rows for effort in whole_efforts(3, 2)] == [12, 6, 3, 1, 1, 1]
    assert (Effort(1, 1),) == ROTARY_EFFORTS


@given(st.integers(1, 200), st.integers(1, 80))
def test_usual_efforts_grow_smaller_and_whole_ones_see_every_layer(rows: int, layers: int):
    usual, whole = attention_efforts(rows), whole_efforts(rows, layers)
    for efforts in usual, whole:
        assert [effort.size for effort in efforts] == sorted((effort.size for effort in efforts), reverse=True)
        assert all(effort.rows >= 1 for effort in efforts)
    assert (usual[0], usual[-1].layers, {effort.maps for effort in usual}) == (Effort(rows, 4), 1, {1})
    assert {effort.layers for effort in whole} == {layers}
    assert [effort.maps for effort in whole] == [min(layers, 32)] * 5 + [1]
    assert whole[0].rows == 4 * rows


@given(st.floats(0.01, 1.0), st.integers(0, 5))
def test_a_share_of_passes_is_wanted_evenly_after_the_first_ones(rate: float, first: int):
    sampler = Sampler(rate, first)
    sampler.took("kind")
    asked = [sampler.ask("kind") for _ in range(first + 1000)]
    assert asked[:first] == [Interest.NEW] * first
    shares = [interest is Interest.SHARE for interest in asked[first:]]
    for start in range(0, 1000, 250):
        assert abs(sum(shares[start : start + 250]) - 250 * rate) < 8
    assert set(asked[first:]) <= {Interest.SHARE, Interest.NONE}


def test_a_kind_is_new_until_it_was_looked_at_and_nothing_is_wanted_where_sampling_is_off():
    sampler = Sampler(1e-9, first=1, remembered=2)
    assert [sampler.ask("a"), sampler.ask("a")] == [Interest.NEW, Interest.NEW]
    sampler.took("a")
    assert sampler.ask("a") is Interest.NONE
    assert sampler.ask("a", always=True) is Interest.SHARE
    sampler.took("b")
    assert sampler.ask("c") is Interest.NONE  # as many kinds are remembered as may be
    assert Sampler(0.0).ask("a", always=True) is Interest.NONE
