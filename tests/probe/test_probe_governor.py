"""The probe keeps to its budget, whatever the load does, and uses it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from locant.probe.effort import ATTENTION_EFFORTS, Chance, Effort, Interest, Look, whole_efforts
from locant.probe.governor import FREE_LOOKS, START_PASSES, WINDOW_SECONDS, Governor

History = list[tuple[float, float]]
PREFILL, DECODE = ("prefill", 7), ("decode", 1)
WHOLE = whole_efforts(32, 24)


def proportional(seconds: float, noise: random.Random | None = None) -> Callable[[Effort], float]:
    """A price in proportion to the effort, 30 % to and fro with `noise`."""
    return lambda effort: effort.size * seconds * (noise.uniform(0.7, 1.3) if noise is not None else 1.0)


def run(
    governor: Governor,
    passes: Iterable[float],
    price: Callable[[Effort], float],
    *,
    kind: tuple[object, ...] = PREFILL,
    hooks: float = 0.0,
    interest: Interest = Interest.SHARE,
    wished_every: int = 0,
) -> History:
    """(forward seconds, all that the probe took) of each pass. The agent wishes for a whole one every so often."""
    history, wished, single = [], False, kind[0] == "decode"
    for number, forward in enumerate(passes, 1):
        wished = wished or bool(wished_every and number % wished_every == 0)
        found = governor.choose_whole("attention", kind, WHOLE, single=single) if wished else Chance.NONE
        look = found if isinstance(found, Look) else None
        wished = wished and look is None
        if found is Chance.NONE:
            look = governor.choose("attention", kind, ATTENTION_EFFORTS, interest, single=single)
        looks = [(look, price(look.effort))] if look is not None else []
        governor.passed(kind, forward, hooks * forward, looks)
        history.append((forward, hooks * forward + sum(seconds for _, seconds in looks)))
    return history


def started(governor: Governor, price: Callable[[Effort], float], forward: float = 0.001) -> Governor:
    """A governor whose start-up is over."""
    run(governor, [forward] * 6, price, interest=Interest.NEW)
    run(governor, [forward] * START_PASSES, price, interest=Interest.NONE)
    return governor


def worst_window(history: History) -> float:
    """Largest spending in ten seconds of forward time."""
    worst, start, forward, spent = 0.0, 0, 0.0, 0.0
    for seconds, cost in history:
        forward, spent = forward + seconds, spent + cost
        while forward > WINDOW_SECONDS:
            forward, spent, start = forward - history[start][0], spent - history[start][1], start + 1
        worst = max(worst, spent)
    return worst


def share(history: History) -> float:
    """The probe's time over forward time."""
    return sum(cost for _, cost in history) / sum(seconds for seconds, _ in history)


loads = st.lists(st.tuples(st.floats(0.001, 1.0), st.integers(20, 200)), min_size=1, max_size=5)


@settings(max_examples=60)
@example([(0.75, 122), (1.0, 21)], 0.002767133808931589, 0.05, 1.0, 3)  # a price that faded beside one known once
@given(loads, st.floats(1e-7, 3e-3), st.sampled_from((0.001, 0.01, 0.05)), st.floats(0, 1), st.integers(0, 99))
def test_no_ten_seconds_cost_more_than_twice_the_budget(
    load: list[tuple[float, int]], cost: float, budget: float, hooks: float, seed: int
) -> None:
    price = proportional(cost, random.Random(seed))
    governor = started(Governor(budget), price)
    passes = [seconds for seconds, count in load for _ in range(count)]
    history = run(governor, passes, price, hooks=hooks * budget)
    assert worst_window(history) <= 2 * budget * WINDOW_SECONDS


@settings(max_examples=60)
@given(loads, st.floats(1e-7, 1e-3), st.sampled_from((0.001, 0.01, 0.05)), st.floats(0, 1), st.integers(1, 60))
def test_nor_do_they_where_the_agent_asks_for_whole_passes_all_the_time(
    load: list[tuple[float, int]], cost: float, budget: float, hooks: float, every: int
) -> None:
    price = proportional(cost, random.Random(every))
    governor = started(Governor(budget), price)
    passes = [seconds for seconds, count in load for _ in range(count)]
    history = run(governor, passes, price, hooks=hooks * budget, wished_every=every)
    assert worst_window(history) <= 2 * budget * WINDOW_SECONDS


@settings(max_examples=40)
@given(loads, st.floats(1e-7, 1e-4), st.integers(0, 999), st.integers(1, 200))
def test_nor_in_a_mix_of_kinds_of_which_whole_passes_are_wanted(
    load: list[tuple[float, int]], cost: float, seed: int, every: int
) -> None:
    noise = random.Random(seed)
    governor = started(Governor(0.01), proportional(cost))
    history: History = []
    for seconds, count in load:
        for number in range(count):
            wanted = number % every < every // 2 + 1
            history += run(governor, [seconds], proportional(cost, noise), wished_every=int(wanted))
            history += run(governor, [seconds * noise.random()], proportional(cost * 3, noise), kind=DECODE)
            if not wanted:
                governor.save_no_more()
    assert worst_window(history) <= 2 * 0.01 * WINDOW_SECONDS


def test_a_whole_pass_is_saved_for_and_then_looked_at_with_the_largest_effort_that_a_full_bucket_pays() -> None:
    governor = started(Governor(0.01), proportional(3e-5))
    run(governor, [0.02] * 500, proportional(3e-5))
    found: Look | Chance = Chance.LATER
    waited = 0
    while found is Chance.LATER and waited < 1000:
        assert governor.choose("rotary", PREFILL, ATTENTION_EFFORTS[-1:], Interest.SHARE) is None or waited == 0
        governor.passed(PREFILL, 0.02, 0.0)
        found = governor.choose_whole("attention", PREFILL, WHOLE)
        waited += 1
    assert isinstance(found, Look)
    assert 100 < waited < 700
    assert (found.whole, found.effort) == (True, WHOLE[1])  # twice the usual rows; four times would cost too much
    assert found.reserved_seconds <= 0.01 * 12 / 1.5


def test_what_was_saved_for_a_wish_that_expired_is_not_kept() -> None:
    governor = started(Governor(0.01), proportional(2e-5))
    run(governor, [0.02] * 500, proportional(2e-5))
    for _ in range(600):
        governor.choose_whole("attention", PREFILL, WHOLE)
        governor.passed(PREFILL, 0.02, 0.0)
    governor.save_no_more()
    burst = run(governor, [0.02] * 500, proportional(2e-5))
    assert worst_window(burst) <= 0.166


def test_a_step_of_decoding_is_not_slowed_by_more_than_a_tenth_for_a_whole_look_either() -> None:
    governor = started(Governor(0.05), proportional(1e-7))
    run(governor, [0.01] * 3000, proportional(1e-6), kind=DECODE)
    history = run(governor, [0.01] * 8000, proportional(1e-6), kind=DECODE, wished_every=100)
    assert max(cost / forward for forward, cost in history) <= 0.1
    assert governor.choose_whole("attention", DECODE, whole_efforts(32, 200), single=True) is Chance.NONE


@settings(max_examples=10)
@given(loads, st.integers(0, 999))
def test_a_mix_of_kinds_keeps_to_it_too(load: list[tuple[float, int]], seed: int) -> None:
    noise = random.Random(seed)
    governor = started(Governor(0.01), proportional(1e-4))
    history: History = []
    for seconds, count in load:
        for _ in range(count):
            kind = (noise.choice(("prefill", "decode")), noise.randrange(12))
            history += run(governor, [seconds], proportional(1e-6 * 2 ** kind[1]), kind=kind)
    assert worst_window(history) <= 2 * 0.01 * WINDOW_SECONDS


@pytest.mark.parametrize("before", [0.01, 0.5, 5.0])
@pytest.mark.parametrize("after", [0.02, 0.2])
def test_the_budget_is_used_and_kept_within_a_minute_after_a_change_of_load(before: float, after: float) -> None:
    governor = started(Governor(0.01), proportional(1e-5))
    run(governor, [before] * int(100 / before), proportional(before * 1e-4))
    run(governor, [after] * int(60 / after), proportional(1e-5))
    steady = run(governor, [after] * int(60 / after), proportional(1e-5))
    assert 0.006 < share(steady) < 0.0101


def test_what_every_pass_costs_is_taken_off_the_budget_for_looks() -> None:
    governor = started(Governor(0.01), proportional(1e-5))
    history = run(governor, [0.02] * 6000, proportional(1e-5), hooks=0.006)
    assert 0.0085 < share(history) < 0.0101


def test_looks_keep_a_quarter_of_the_budget_where_the_hooks_alone_exceed_it() -> None:
    governor = started(Governor(0.01), proportional(1e-5))
    history = run(governor, [0.002] * 60_000, proportional(1e-5), hooks=0.08)
    assert share(history) == pytest.approx(0.0825, abs=0.0003)


def test_a_tiny_model_whose_look_costs_several_passes_is_looked_at_rarely_and_still_in_time() -> None:
    governor = started(Governor(0.01), lambda _: 0.005)
    history = run(governor, [0.0015] * 40_000, lambda _: 0.005)
    looked = [index for index, (_, cost) in enumerate(history) if cost]
    assert share(history) < 0.0107
    assert max(b - a for a, b in itertools.pairwise(looked)) * 0.0015 < 2.0


def test_a_huge_model_is_looked_at_as_often_as_is_wanted() -> None:
    governor = started(Governor(0.01), proportional(1e-5))
    history = run(governor, [8.0] * 100, proportional(1e-4))
    assert all(cost for _, cost in history)


def test_rare_dear_looks_are_not_starved_by_frequent_cheap_ones() -> None:
    governor, dear = started(Governor(0.01), proportional(1e-6)), ("prefill", 13)
    seen = 0
    for _ in range(400):
        run(governor, [0.02] * 50, lambda _: 0.002)
        seen += run(governor, [0.5], lambda _: 0.018, kind=dear)[0][1] > 0
    assert seen > 40


@pytest.mark.parametrize(("rare", "frequent"), [("attention", "rotary"), ("rotary", "attention")])
def test_a_subject_that_is_rarely_wanted_gets_its_turn_beside_one_that_takes_all_there_is(
    rare: str, frequent: str
) -> None:
    governor, taken = started(Governor(0.01), proportional(1e-5)), {rare: 0, frequent: 0}
    for number in range(20_000):
        for subject in (frequent, rare) if number % 40 == 0 else (frequent,):
            look = governor.choose(subject, PREFILL, ATTENTION_EFFORTS[-1:], Interest.SHARE)
            governor.passed(PREFILL, 0.005, 0.0, [(look, 0.0012)] if look is not None else [])
            taken[subject] += look is not None
    assert taken[rare] > 200  # of 500 that were wanted
    assert taken[frequent] > 200


@settings(max_examples=10)
@given(st.floats(1e-3, 0.019), st.floats(0.03, 0.1))
def test_a_slow_moment_at_the_start_does_not_blind_a_kind_whose_least_effort_was_affordable(
    least: float, spike: float
) -> None:
    governor = Governor(0.01)
    for seconds in (spike, least, spike):  # the first three of a kind are free: the most, the least, the most
        look = governor.choose("attention", PREFILL, ATTENTION_EFFORTS, Interest.NEW)
        assert look is not None
        governor.passed(PREFILL, 0.01, 0.0, [(look, seconds)])
    history = run(governor, [0.01] * 6000, lambda _: least)
    assert sum(cost > 0 for _, cost in history[-3000:]) > 0


def test_a_decode_step_is_not_slowed_by_more_than_a_tenth() -> None:
    governor = started(Governor(0.01), proportional(1e-6))
    run(governor, [0.01] * 30_000, proportional(1e-5), kind=DECODE)
    history = run(governor, [0.01] * 30_000, proportional(1e-5), kind=DECODE)
    assert max(cost / forward for forward, cost in history) <= 0.1
    assert 0.005 < share(history) < 0.0101


def test_a_step_too_short_for_any_look_is_left_alone_and_counted_but_for_a_trial_now_and_then() -> None:
    governor = started(Governor(0.01), lambda _: 0.002)
    run(governor, [0.005], lambda _: 0.002, kind=DECODE)
    history = run(governor, [0.005] * 60_000, lambda _: 0.002, kind=DECODE)
    assert 1 <= sum(cost > 0 for _, cost in history) <= 6
    assert governor.looks["step"] > 50_000


def test_looks_that_have_become_cheap_are_taken_again() -> None:
    governor = started(Governor(0.01), proportional(1e-5))
    run(governor, [0.01], lambda _: 0.5, kind=DECODE)
    history = run(governor, [0.01] * 60_000, proportional(1e-6), kind=DECODE)
    assert share(history[-6000:]) > 0.004


@pytest.mark.parametrize("spike", [0.03, 0.3])
def test_a_spike_is_paid_back(spike: float) -> None:
    governor = started(Governor(0.01), proportional(1e-5))
    run(governor, [0.02] * 5000, proportional(1e-5))
    look = None
    while look is None:
        look = governor.choose("attention", PREFILL, ATTENTION_EFFORTS, Interest.SHARE)
        governor.passed(PREFILL, 0.02, 0.0, [(look, spike)] if look is not None else [])
    after = run(governor, [0.02] * int(spike / 0.01 / 0.02 - 250), proportional(1e-5)) if spike > 0.1 else []
    assert sum(cost for _, cost in after) == 0
    later = run(governor, [0.02] * 10_000, proportional(1e-5))
    assert 0.006 < share(later) < 0.0101


def test_credit_is_not_saved_through_a_long_stretch_without_looks() -> None:
    governor = started(Governor(0.01), proportional(1e-5))
    run(governor, [0.02] * 100_000, proportional(1e-5), interest=Interest.NONE)
    burst = run(governor, [0.02] * 500, proportional(1e-5))
    assert worst_window(burst) <= 0.15


def test_the_first_of_each_kind_is_looked_at_whatever_it_costs_at_the_start_only() -> None:
    governor = Governor(0.01)
    for kind in range(FREE_LOOKS + 20):
        run(governor, [0.01], lambda _: 0.1, kind=("prefill", kind), interest=Interest.NEW)
    assert governor.looks["taken"] == FREE_LOOKS
    late = started(Governor(0.01), lambda _: 0.1)
    assert late.choose("attention", ("prefill", 1), ATTENTION_EFFORTS, Interest.NEW) is None


def test_the_same_history_gives_the_same_decisions() -> None:
    first, second = (
        run(Governor(0.02), [0.05] * 500, proportional(2e-5, random.Random(4)), interest=Interest.NEW) for _ in range(2)
    )
    assert first == second


def test_no_budget_means_no_look_at_all_and_none_that_nothing_is_refused() -> None:
    assert share(run(Governor(0.0), [0.1] * 100, proportional(1e-5), interest=Interest.NEW)) == 0
    history = run(Governor(None), [0.1] * 100, proportional(1.0), kind=DECODE)
    assert all(cost == ATTENTION_EFFORTS[0].size for _, cost in history)


def test_a_budget_of_zero_looks_at_nothing_for_the_agent_either_and_no_budget_at_everything() -> None:
    assert Governor(0.0).choose_whole("attention", PREFILL, WHOLE) is Chance.NONE
    found = Governor(None).choose_whole("attention", DECODE, WHOLE, single=True)
    assert isinstance(found, Look)
    assert found.effort == WHOLE[0]


def test_a_share_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"overhead_budget: 1\.5 is not between 0 and 1"):
        Governor(1.5)
