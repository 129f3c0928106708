"""Costs against the same release's past: regressions are reported; noise, longer traffic and cold starts are not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from checks_facts import ROPE, alerts, facts, judge_of, row

from locant.observation import Detached, ModelAttached
from locant.sidecar.costs import LatencyWatch
from locant.sidecar.judge import Judge
from locant.sidecar.measured import reference_of
from locant.sidecar.references import Reference
from locant.sidecar.saved import SavedCanary, SavedCosts, SavedDrift, SavedRelease

PER_TOKEN = 512
CACHING = replace(ROPE, cache_bytes_per_token=PER_TOKEN)


def passes(sizes, **changes):
    """Calls of one token each on caches of their own, with so many positional bytes."""
    judge = judge_of()
    found = set()
    for number, size in enumerate(sizes, 1):
        reach = changes.get("reach", lambda n: 20)(number)
        call = facts(row(1), number=number, positional_bytes=size, highest_planned_position=reach, cache_id=number)
        found |= alerts(judge.judge(call))
    return found


class TestPositionalMemory:
    def test_that_grows_with_the_calls_is_reported(self):
        assert passes(range(1000, 9000, 1000)) == {"positional_memory_grows"}

    def test_that_grows_with_the_longest_request_is_left_alone(self):
        assert not passes(range(1000, 9000, 1000), reach=lambda number: 20 * number)

    def test_built_at_the_first_calls_or_in_another_dtype_is_left_alone(self):
        assert not passes([0, 1000, 2000, 2000, 4000, *[2000, 4000] * 20])


def decode(bytes_of, steps=120, model=CACHING):
    """One request decoded step by step; `bytes_of(tokens)`: what its cache then takes."""
    judge, found = judge_of(model), set()
    for step in range(steps):
        held = 8 + step if step else 0
        call = facts(row(8 if not step else 1, held), number=step + 1, cache_bytes=bytes_of(held + (1 if step else 8)))
        found |= alerts(judge.judge(call))
    return found


class TestCache:
    def test_keys_kept_twice_as_wide_from_some_step_on_are_reported(self):
        assert decode(lambda held: PER_TOKEN * (held + max(0, held - 60))) == {"cache_grows_faster"}

    @pytest.mark.parametrize(
        "bytes_of",
        [
            lambda held: PER_TOKEN * held,
            lambda held: PER_TOKEN * 4096,
            lambda held: PER_TOKEN * -(-held // 16) * 16,
            lambda held: PER_TOKEN * min(held, 50) // 2 + PER_TOKEN * held // 2,
            lambda held: 2 * PER_TOKEN * held,
        ],
        ids=["as configured", "allocated ahead", "in blocks", "half of the layers with a window", "always so"],
    )
    def test_other_ways_to_grow_are_left_alone(self, bytes_of):
        assert not decode(bytes_of)

    def test_a_large_step_now_and_then_is_no_larger_cache(self):
        assert not decode(lambda held: PER_TOKEN * (held + 5 * (max(0, held - 60) // 10)), steps=200)

    def test_without_an_expectation_nothing_is_said(self):
        assert not decode(lambda held: PER_TOKEN * held * held, model=ROPE)


def timed(seconds_of, count, every_seconds=1.0, cached=lambda number: 64):
    """Independent decode steps, one each `every_seconds`; `seconds_of(number)`: how long each takes."""
    judge, found = judge_of(), set()
    for number in range(1, count + 1):
        held = cached(number)
        call = facts(row(1, held), number=number, cache_id=number, duration_seconds=seconds_of(number))
        found |= alerts(judge.judge(replace(call, time=number * every_seconds)))
    return found


def noisy(seed=1):
    rng = random.Random(seed)
    return lambda base: base * rng.lognormvariate(0, 0.3) * (20 if rng.random() < 0.02 else 1)


class TestTime:
    def test_passes_that_stay_twice_as_slow_are_reported(self):
        noise = noisy()
        assert timed(lambda n: noise(0.01 if n < 1500 else 0.02), 2800) == {"passes_slower"}

    @pytest.mark.parametrize("seed", range(3))
    def test_noise_and_spikes_are_left_alone(self, seed):
        noise = noisy(seed)
        assert not timed(lambda n: noise(0.01), 6000)

    def test_a_cold_start_is_no_reference(self):
        noise = noisy()
        assert not timed(lambda n: noise(1.0 if n < 60 else 0.01), 4000)

    def test_a_longer_mix_is_another_kind(self):
        noise = noisy()
        length = lambda n: 64 if n < 1500 else 480  # noqa: E731
        assert not timed(lambda n: noise(0.0001 * length(n)), 4000, cached=length)

    def test_a_slow_spell_of_some_minutes_is_left_alone(self):
        noise = noisy()
        assert not timed(lambda n: noise(0.03 if 2000 < n < 2450 else 0.01), 5000)

    def test_too_little_time_is_not_enough_to_compare(self):
        noise = noisy()
        assert not timed(lambda n: noise(0.01 if n < 500 else 0.05), 4000, every_seconds=0.1)

    def test_a_burst_of_slow_passes_is_no_ten_minutes_of_them(self):
        watch, now = LatencyWatch(), 0.0
        for every_seconds, seconds, count in ((1.0, 0.01, 1500), (0.1, 0.05, 1500)):
            for number in range(count):
                now += every_seconds
                call = facts(row(1, 64), number=number, duration_seconds=seconds)
                assert watch.take(replace(call, time=now)) is None


HERE, ELSEWHERE = "1 x H100 + EPYC", "1 x A10 + Xeon"


def introduced(version, machine=HERE, model_id=1):
    return ModelAttached(model_id, 0.0, "chat", version, CACHING, machine=machine)


def lived(
    judge, version, seconds, *, machine=HERE, count=900, bytes_per_token=PER_TOKEN, start=0.0, tokens=64, model_id=1
):
    """A release's decode steps, one each four seconds: what was found, and the pinned release it was compared with."""
    found = set()
    judge.judge(introduced(version, machine, model_id))
    for number in range(1, count + 1):
        held = tokens + number % 4
        call = facts(
            row(1, held), number=number, duration_seconds=seconds(number), cache_bytes=bytes_per_token * (held + 1)
        )
        call = replace(call, cache_id=1 + number // 4, time=start + number * 4.0, model_id=model_id)
        found |= {(one.check, one.evidence.get("pinned_version")) for one in judge.judge(call).findings}
    return found


def pinned(machine=HERE, **life):
    """A reference of release r1, as an agent would pin it."""
    judge = Judge()
    assert not lived(judge, "r1", noisy_base(0), machine=machine, **life)
    drift = SavedDrift(1.0, 1.0, (), (), (), 0)
    canary = SavedCanary({}, None, (), (), {})
    costs = judge.costs()["chat", "r1"]
    return {"chat": reference_of(SavedRelease("chat", "r1", 1.0, drift, canary, {}, costs=costs))}


def noisy_base(seed, base=0.01):
    noise = noisy(seed)
    return lambda n: noise(base)


class TestBesideAPinnedRelease:
    def test_one_that_was_slow_from_its_first_pass_is_reported_with_the_release_it_is_slower_than(self):
        judge = Judge()
        judge.compare(pinned())
        assert lived(judge, "r2", noisy_base(1, 0.02)) == {("passes_slower", "r1")}

    @pytest.mark.parametrize("seed", range(2))
    def test_one_of_the_same_speed_is_left_alone(self, seed):
        judge = Judge()
        judge.compare(pinned())
        assert not lived(judge, "r2", noisy_base(seed + 10), count=3000)

    def test_busy_hours_that_cost_a_fifth_are_left_alone(self):
        judge, noise = Judge(), noisy(3)
        judge.compare(pinned())
        assert not lived(judge, "r2", lambda n: noise(0.012 if n // 300 % 2 else 0.01), count=3000)

    @pytest.mark.parametrize(("then", "now"), [(HERE, ELSEWHERE), (HERE, ""), ("", ""), (HERE, "x" * 600)])
    def test_times_of_another_or_an_unknown_machine_are_not_compared(self, then, now):
        judge = Judge()
        judge.compare(pinned(then))
        assert not lived(judge, "r2", noisy_base(1, 0.02), machine=now)

    @pytest.mark.parametrize("machine", [HERE, ELSEWHERE])
    def test_a_cache_twice_as_wide_from_the_start_is_reported_on_any_machine(self, machine):
        judge = Judge()
        judge.compare(pinned())
        found = lived(judge, "r2", noisy_base(1), machine=machine, bytes_per_token=2 * PER_TOKEN)
        assert found == {("cache_grows_faster", "r1")}

    def test_a_reference_without_costs_compares_nothing(self):
        judge = Judge()
        judge.compare({"chat": Reference(model_version="r1")})
        assert not lived(judge, "r2", noisy_base(1, 0.02))

    def test_a_reference_that_comes_later_is_compared_with_from_then_on(self):
        judge = Judge()
        assert not lived(judge, "r2", noisy_base(1, 0.02))
        judge.compare(pinned())
        assert lived(judge, "r2", noisy_base(2, 0.02), start=1e5) == {("passes_slower", "r1")}

    def test_reading_the_same_reference_again_does_not_begin_the_ten_minutes_anew(self):
        judge, reference = Judge(), pinned()
        noise = noisy_base(1, 0.02)

        def seconds(number):
            if number % 50 == 0:
                judge.compare(dict(reference))
            return noise(number)

        assert lived(judge, "r2", seconds) == {("passes_slower", "r1")}

    def test_a_model_that_moves_to_another_machine_is_not_held_to_times_of_the_first(self):
        judge = Judge()
        judge.compare(pinned())
        assert not lived(judge, "r2", noisy_base(1), count=400)
        assert not lived(judge, "r2", noisy_base(1, 0.02), machine=ELSEWHERE, start=1e5)


class TestAcrossRestarts:
    def test_what_a_release_costs_outlives_its_probes(self):
        judge = Judge()
        lived(judge, "r1", noisy_base(1))
        before = judge.costs()
        judge.judge(Detached(1, 4000.0))
        assert judge.costs() == before
        assert len(before["chat", "r1"].seconds) == 1
        assert before["chat", "r1"].cache_bytes_per_token == PER_TOKEN

    def test_a_release_that_came_back_slower_is_told_by_what_was_saved_of_it(self):
        drift, canary = SavedDrift(1.0, 1.0, (), (), (), 0), SavedCanary({}, None, (), (), {})
        first, again = Judge(), Judge()
        lived(first, "r1", noisy_base(1))
        again.recall([SavedRelease("chat", "r1", 1.0, drift, canary, {}, costs=first.costs()["chat", "r1"])])
        assert lived(again, "r1", noisy_base(2, 0.02)) == {("passes_slower", None)}

    def test_replicas_add_to_what_is_known_of_their_release(self):
        judge = Judge()
        lived(judge, "r1", noisy_base(1))
        lived(judge, "r1", noisy_base(2), tokens=512, model_id=2)
        assert [one[3] for one in judge.costs()["chat", "r1"].seconds] == [24, 36]

    def test_times_that_are_no_numbers_are_never_saved(self):
        judge = Judge()
        lived(judge, "r1", lambda n: float("inf"))
        assert judge.costs() == {("chat", "r1"): SavedCosts(HERE, (), PER_TOKEN)}
