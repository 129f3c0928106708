"""The profiler keeps to its budget, whatever the load does, and uses it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.probe.attention.governor import WINDOW_SECONDS, Effort, Governor


def run(governor: Governor, passes: list[float], cost_of: float, seed: int = 0) -> list[tuple[float, float]]:
    """(forward seconds, spent seconds) of each pass; a look costs in proportion to its effort, 30 % to and fro."""
    noise = random.Random(seed)
    history = []
    for forward in passes:
        effort = governor.admit()
        spent = effort.size * cost_of * noise.uniform(0.7, 1.3) if effort is not None else 0.0
        governor.passed(forward, spent, effort)
        history.append((forward, spent))
    return history


def worst_window(history: list[tuple[float, float]]) -> float:
    """Largest spending in ten seconds of forward time."""
    worst, start, forward, spent = 0.0, 0, 0.0, 0.0
    for seconds, cost in history:
        forward, spent = forward + seconds, spent + cost
        while forward > WINDOW_SECONDS:
            forward, spent, start = forward - history[start][0], spent - history[start][1], start + 1
        worst = max(worst, spent)
    return worst


def share(history: list[tuple[float, float]]) -> float:
    """Own time over forward time."""
    return sum(cost for _, cost in history) / sum(seconds for seconds, _ in history)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.001, 1.0), st.integers(20, 400)), min_size=1, max_size=4),
    st.floats(1e-7, 1e-4),
    st.sampled_from((0.001, 0.01, 0.05)),
    st.integers(0, 99),
)
def test_no_ten_seconds_cost_more_than_twice_the_budget(
    loads: list[tuple[float, int]], cost: float, budget: float, seed: int
) -> None:
    governor = Governor(budget, free_looks=1)
    run(governor, [1.0], cost)
    settle = [1.0] * int(128 * 1.3 * cost / budget + 2)
    run(governor, settle, cost, seed)
    passes = [seconds for seconds, count in loads for _ in range(count)]
    history = run(governor, passes, cost, seed)
    assert worst_window(history) <= 2 * budget * WINDOW_SECONDS * 1.01


@pytest.mark.parametrize("forward", [0.02, 0.2])
def test_the_budget_is_used_and_kept_within_a_minute_after_a_change_of_load(forward: float) -> None:
    governor = Governor(0.01)
    run(governor, [0.5] * 200, 1e-5)
    run(governor, [forward] * int(60 / forward), 1e-5)
    steady = run(governor, [forward] * int(60 / forward), 1e-5)
    assert 0.006 < share(steady) < 0.0101
    assert governor.overhead_ratio < 0.02


def test_short_steps_get_the_small_effort_so_that_none_is_slowed_much() -> None:
    governor = Governor(0.01)
    run(governor, [0.01] * 3000, 1e-5)
    found = {governor.admit() for _ in range(1)}
    for _ in range(3000):
        effort = governor.admit()
        found.add(effort)
        governor.passed(0.01, effort.size * 1e-5 if effort is not None else 0.0, effort)
    assert max(effort.size for effort in found if effort is not None) * 1e-5 <= 0.1 * 0.01


def test_the_first_passes_are_looked_at_whatever_they_cost() -> None:
    governor = Governor(0.01)
    assert [governor.admit() is not None for _ in range(1)] == [True]
    history = run(governor, [0.01] * 5, 1e-3)
    assert [spent > 0 for _, spent in history] == [True, True, True, False, False]


def test_the_same_history_gives_the_same_decisions() -> None:
    first, second = (run(Governor(0.02), [0.05] * 500, 2e-5, seed=4) for _ in range(2))
    assert first == second


def test_no_budget_means_no_look_at_all() -> None:
    assert share(run(Governor(0.0), [0.1] * 100, 1e-5)) == 0


def test_a_share_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"budget_ratio: 1\.5 is not between 0 and 1"):
        Governor(1.5)


def test_effort_grows_with_rows_and_layers() -> None:
    assert Effort(16, 2).size == 32
