"""The store is typed, bounded, and counts what it refuses."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.sidecar.store import Batch, Store, add, observe
from locant_slo.catalogue import ALL, metrics
from locant_slo.catalogue.labels import REASON
from locant_slo.snapshot import Exemplar
from support.sidecar_traffic import OWN, START, histogram, samples, value, values


def store(limit: int = 2000) -> Store:
    return Store(started_at=START, series_limit=limit)


def dropped(one: Store, reason: str) -> float:
    return value(one.snapshot(START), metrics.OBSERVATIONS_DROPPED, reason)


def test_a_fresh_store_shows_its_own_counters_at_zero() -> None:
    snapshot = store().snapshot(START + 1)
    assert values(snapshot, metrics.OBSERVATIONS_DROPPED) == {(reason,): 0 for reason in REASON.values}
    assert value(snapshot, metrics.SERIES_REFUSED) == 0
    assert value(snapshot, metrics.SERIES) == 2 + len(REASON.values)
    assert (snapshot.taken_at, snapshot.started_at) == (START + 1, START)


@pytest.mark.parametrize("amount", [nan, inf, -1.0])
def test_a_counter_refuses_what_is_no_amount_and_counts_it(amount: float) -> None:
    one = store()
    one.add(metrics.OBSERVATIONS, OWN, 2)
    one.add(metrics.OBSERVATIONS, OWN, amount)
    assert value(one.snapshot(START), metrics.OBSERVATIONS, *OWN) == 2
    assert dropped(one, "invalid") == 1


@pytest.mark.parametrize("observed", [nan, inf, -1.0])
def test_a_histogram_refuses_what_is_no_observation(observed: float) -> None:
    one = store()
    one.observe(metrics.SEQUENCE_LENGTH, OWN, observed)
    assert not samples(one.snapshot(START), metrics.SEQUENCE_LENGTH)
    assert dropped(one, "invalid") == 1


def test_a_gauge_may_be_negative_but_not_infinite() -> None:
    one = store()
    one.set(metrics.REGRESSION_LOG_EVIDENCE, ("r0", *OWN), -2.5)
    one.set(metrics.REGRESSION_LOG_EVIDENCE, ("r0", *OWN), inf)
    assert values(one.snapshot(START), metrics.REGRESSION_LOG_EVIDENCE) == {("r0", *OWN): -2.5}


def test_an_operation_of_the_wrong_kind_is_refused() -> None:
    one = store()
    one.set(metrics.OBSERVATIONS, OWN, 1)
    one.add(metrics.QUEUE_DEPTH, (), 1)
    one.observe(metrics.QUEUE_DEPTH, (), 1)
    one.replace_histogram(metrics.REFERENCE_LENGTH, OWN, (1, 2), 3.0)
    assert dropped(one, "invalid") == 4


@pytest.mark.parametrize("labels", [("thinking", "ok", *OWN), ("decode", "ok"), ("decode", "ok", "m" * 300, "v")])
def test_labels_outside_the_closed_sets_are_refused(labels: tuple[str, ...]) -> None:
    one = store()
    one.add(metrics.FORWARD_PASSES, labels)
    assert not values(one.snapshot(START), metrics.FORWARD_PASSES)
    assert dropped(one, "invalid") == 1


def test_beyond_the_cap_new_series_are_refused_and_counted_while_old_ones_go_on() -> None:
    one = store(100)
    for layer in range(300):
        one.add(metrics.ATTENTION_ROWS, (str(layer), *OWN))
    for _ in range(3):
        one.add(metrics.ATTENTION_ROWS, ("299", *OWN))
    one.add(metrics.ATTENTION_ROWS, ("0", *OWN))
    snapshot = one.snapshot(START)
    assert value(snapshot, metrics.SERIES) == 100
    assert len(values(snapshot, metrics.ATTENTION_ROWS)) + value(snapshot, metrics.SERIES_REFUSED) == 300
    assert value(snapshot, metrics.ATTENTION_ROWS, "0", *OWN) == 2
    assert dropped(one, "series_limit") == value(snapshot, metrics.SERIES_REFUSED) + 3


def test_a_histogram_weighs_as_many_series_as_a_scraper_sees() -> None:
    one = store(100)
    before = value(one.snapshot(START), metrics.SERIES)
    one.observe(metrics.SEQUENCE_LENGTH, OWN, 100)
    assert value(one.snapshot(START), metrics.SERIES) - before == len(metrics.SEQUENCE_LENGTH.buckets) + 3


def test_the_debug_tier_leaves_room_for_the_indicators() -> None:
    one = store(100)
    for head in range(200):
        one.set(metrics.HEAD_ENTROPY, ("0", str(head), *OWN), 1.0)
    one.add(metrics.SLI_EVENTS, ("position_integrity", *OWN))
    assert value(one.snapshot(START), metrics.SERIES) == 76
    assert value(one.snapshot(START), metrics.SLI_EVENTS, "position_integrity", *OWN) == 1


def test_a_snapshot_does_not_change_when_the_store_does() -> None:
    one = store()
    one.apply([add(metrics.OBSERVATIONS, OWN, 1), observe(metrics.SEQUENCE_LENGTH, OWN, 100, 2)])
    before = one.snapshot(START)
    copy = repr(before)
    one.apply([add(metrics.OBSERVATIONS, OWN, 5), observe(metrics.SEQUENCE_LENGTH, OWN, 100)])
    assert repr(before) == copy
    assert histogram(before, metrics.SEQUENCE_LENGTH, *OWN).count == 2
    assert histogram(one.snapshot(START), metrics.SEQUENCE_LENGTH, *OWN).count == 3


def test_families_come_in_the_order_of_the_catalogue() -> None:
    one = store()
    one.set(metrics.QUEUE_DEPTH, (), 1)
    one.add(metrics.OBSERVATIONS, OWN)
    one.add(metrics.SLI_EVENTS, ("padding_ratio", *OWN))
    shown = [family.metric for family in one.snapshot(START).families]
    assert shown == [metric for metric in ALL if metric in shown]


def test_a_bucket_keeps_its_newest_exemplar() -> None:
    one = store()
    old, new = Exemplar(100, START, "aa"), Exemplar(101, START + 1, "bb")
    one.observe(metrics.SEQUENCE_LENGTH, OWN, 100, exemplar=old)
    one.observe(metrics.SEQUENCE_LENGTH, OWN, 101, exemplar=new)
    one.observe(metrics.SEQUENCE_LENGTH, OWN, 5000, exemplar=old)
    kept = histogram(one.snapshot(START), metrics.SEQUENCE_LENGTH, *OWN)
    assert [exemplar for exemplar in kept.exemplars if exemplar] == [new, old]
    assert len(kept.exemplars) == len(kept.counts)


def test_a_counter_keeps_its_last_exemplar_when_an_addition_has_none() -> None:
    one = store()
    one.add(metrics.OBSERVATIONS, OWN, 1, Exemplar(1, START, "aa"))
    one.add(metrics.OBSERVATIONS, OWN)
    sample = samples(one.snapshot(START), metrics.OBSERVATIONS)[OWN]
    assert sample.exemplar == Exemplar(1, START, "aa")  # type: ignore[union-attr]


def test_forgetting_a_release_removes_its_series_and_no_other() -> None:
    one = store()
    empty = value(one.snapshot(START), metrics.SERIES)
    for version in ("r1", "r2"):
        one.add(metrics.SLI_EVENTS, ("padding_ratio", "tiny", version))
        one.observe(metrics.SEQUENCE_LENGTH, ("tiny", version), 10)
        one.set(metrics.MODEL_INFO, ("tiny", version, "llama", "rope", "1024", "c0ffee"), 1)
    one.forget_model("tiny", "r1")
    snapshot = one.snapshot(START)
    assert {labels[1] for labels in samples(snapshot, metrics.MODEL_INFO)} == {"r2"}
    assert value(snapshot, metrics.SERIES) - empty == 1 + 31 + 1


@given(st.lists(st.tuples(st.floats(0, 200_000), st.integers(0, 50)), max_size=40))
@settings(max_examples=50)
def test_a_histogram_is_the_sum_of_its_observations(observed: list[tuple[float, int]]) -> None:
    one = store()
    one.apply(observe(metrics.SEQUENCE_LENGTH, OWN, length, times) for length, times in [(0.0, 0), *observed])
    kept = histogram(one.snapshot(START), metrics.SEQUENCE_LENGTH, *OWN)
    assert kept.count == sum(times for _, times in observed)
    assert kept.sum == pytest.approx(sum(length * times for length, times in observed))
    for edge, index in zip(metrics.SEQUENCE_LENGTH.buckets, range(1, 29), strict=True):
        assert sum(kept.counts[:index]) == sum(times for length, times in observed if length <= edge)


amounts = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-5, 5))


@given(st.lists(st.tuples(st.sampled_from(["0", "1", "2"]), amounts), max_size=60))
@settings(max_examples=50)
def test_counters_never_fall_whatever_is_added(additions: list[tuple[str, float]]) -> None:
    one = store(100)
    before: dict[tuple[str, ...], float] = {}
    for layer, amount in additions:
        one.add(metrics.ATTENTION_ROWS, (layer, *OWN), amount)
        after = values(one.snapshot(START), metrics.ATTENTION_ROWS)
        assert all(after[labels] >= kept for labels, kept in before.items())
        before = after


def test_a_batch_that_comes_again_after_its_series_were_forgotten_counts_in_new_ones() -> None:
    one, batch = store(), Batch((add(metrics.OBSERVATIONS, OWN, 3),))
    one.apply([batch, batch])
    one.forget_model(*OWN)
    one.apply([batch])
    assert value(one.snapshot(START), metrics.OBSERVATIONS, *OWN) == 3
