"""Gaps in the data are counted, and coverage never reads as healthy what was not seen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import Observation, ProbeHealth
from locant.sidecar.accountant import Deltas
from locant.sidecar.config import AgentConfig
from locant.sidecar.service import Agent
from locant_slo.catalogue import metrics
from locant_slo.catalogue.labels import SIGNAL
from locant_slo.snapshot import Snapshot
from support.sidecar_traffic import OWN, START, Clock, ScriptedJudge, attached, forward, histogram, row, value, values


def counted(*observations: Observation) -> Snapshot:
    agent = Agent(AgentConfig(), ScriptedJudge(), clock=Clock())
    agent.ingest([attached(), *observations])
    return agent.snapshot()


@given(st.lists(st.integers(0, 100), max_size=30))
@settings(max_examples=50)
def test_deltas_add_up_to_what_happened_across_restarts(cumulative: list[int]) -> None:
    deltas = Deltas()
    added = [deltas.take("key", number) for number in cumulative]
    assert all(amount >= 0 for amount in added)
    falls = [i for i in range(1, len(cumulative)) if cumulative[i] < cumulative[i - 1]]
    ends = [cumulative[i - 1] for i in falls] + cumulative[-1:]
    assert sum(added) == sum(ends)


def test_a_probes_losses_are_counted_once_and_across_its_restart() -> None:
    reports = [ProbeHealth(1, START, dropped=(("queue_full", n),), errors=(("rotary", n),)) for n in (5, 5, 9, 2)]
    snapshot = counted(*reports)
    assert value(snapshot, metrics.OBSERVATIONS_DROPPED, "queue_full") == 11
    assert value(snapshot, metrics.PROBE_ERRORS, "rotary", *OWN) == 11


def test_two_probes_of_one_release_do_not_look_like_restarts_of_one() -> None:
    reports = [ProbeHealth(probe, START, dropped=(("queue_full", n),)) for n in (5, 7) for probe in (1, 2)]
    assert value(counted(attached(2), *reports), metrics.OBSERVATIONS_DROPPED, "queue_full") == 14


def test_a_reason_that_nobody_knows_counts_as_invalid() -> None:
    report = ProbeHealth(1, START, dropped=(("cosmic_ray", 3),))
    assert value(counted(report), metrics.OBSERVATIONS_DROPPED, "invalid") == 3


def test_capture_time_is_spread_over_the_passes_since_the_last_report() -> None:
    passes = [forward(row(5))] * 4
    snapshot = counted(
        *passes, ProbeHealth(1, START, capture_seconds=0.004), ProbeHealth(1, START, capture_seconds=0.004)
    )
    spent = histogram(snapshot, metrics.PROBE_DURATION, "capture")
    assert (spent.count, spent.sum) == (4, pytest.approx(0.004))


def test_coverage_names_every_signal_and_what_was_not_seen_is_zero() -> None:
    snapshot = counted(forward(row(5), seen=("positions",)), forward(row(5), seen=("positions", "mask")))
    coverage = values(snapshot, metrics.WATCH_COVERAGE)
    assert set(coverage) == {(signal, *OWN) for signal in SIGNAL.values}
    assert coverage[("positions", *OWN)] == pytest.approx(1.0)
    assert coverage[("mask", *OWN)] == pytest.approx(1 / 1.99)
    assert coverage[("rotary", *OWN)] == 0


def test_a_signal_lost_after_long_service_shows_at_once() -> None:
    passes = [forward(row(5), seen=("positions",))] * 5000 + [forward(row(5), seen=())] * 300
    assert values(counted(*passes), metrics.WATCH_COVERAGE)[("positions", *OWN)] < 0.05


def test_before_the_first_pass_coverage_is_unknown() -> None:
    assert not values(counted(), metrics.WATCH_COVERAGE)


def test_the_last_observation_is_the_newest_one() -> None:
    snapshot = counted(*(forward(row(5), time=START - earlier) for earlier in (5, 3, 4)))
    assert value(snapshot, metrics.LAST_OBSERVATION, *OWN) == START
    assert value(snapshot, metrics.OBSERVATIONS, *OWN) == 4


def test_a_last_observation_is_never_in_the_future_and_broken_times_are_now() -> None:
    for claimed in (START + 1e6, float("nan"), float("inf")):
        assert value(counted(forward(row(5), time=claimed)), metrics.LAST_OBSERVATION, *OWN) == START


def test_overhead_is_time_over_time_of_all_probes_and_shows_a_change_in_seconds() -> None:
    calm = [ProbeHealth(probe, START, capture_seconds=0.05, forward_seconds=10.0) for probe in (1, 2)]
    snapshot = counted(attached(2), *calm)
    assert value(snapshot, metrics.PROBE_OVERHEAD, *OWN) == pytest.approx(0.005)
    busy = [ProbeHealth(1, START, capture_seconds=0.05 + 0.4 * n, forward_seconds=10.0 + 5 * n) for n in (1, 2, 3)]
    assert value(counted(attached(2), *calm, *busy), metrics.PROBE_OVERHEAD, *OWN) > 0.05


def test_overhead_is_unknown_before_the_first_pass_and_kept_while_idle() -> None:
    report = ProbeHealth(1, START, capture_seconds=0.05, forward_seconds=10.0)
    assert not values(counted(ProbeHealth(1, START)), metrics.PROBE_OVERHEAD)
    assert value(counted(report, report, report), metrics.PROBE_OVERHEAD, *OWN) == pytest.approx(0.005)


def test_looks_are_counted_from_zero_by_what_became_of_them() -> None:
    reports = [ProbeHealth(1, START, looks=(("budget", n), ("step", 2), ("taken", 3 * n), ("odd", 9))) for n in (1, 4)]
    assert values(counted(), metrics.PROBE_LOOKS) == {(word, *OWN): 0 for word in ("taken", "budget", "step")}
    found = values(counted(*reports), metrics.PROBE_LOOKS)
    assert found == {("taken", *OWN): 12, ("budget", *OWN): 4, ("step", *OWN): 2}


def test_requests_for_a_whole_pass_are_counted_from_zero_too() -> None:
    reports = [ProbeHealth(1, START, requests=(("expired", n), ("looked", 2 * n), ("odd", 9))) for n in (1, 4)]
    assert values(counted(), metrics.PROBE_REQUESTS) == {(word, *OWN): 0 for word in ("looked", "refused", "expired")}
    found = values(counted(*reports), metrics.PROBE_REQUESTS)
    assert found == {("looked", *OWN): 8, ("refused", *OWN): 0, ("expired", *OWN): 4}
