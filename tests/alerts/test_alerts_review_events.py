"""What a Prometheus remembers is told once, in order, and only where the period holds it."""

from __future__ import annotations

from itertools import pairwise

from alert_support import make_spec
from hypothesis import given
from hypothesis import strategies as st

from locant_alerts.history.counters import Grid, Series
from locant_alerts.review.events import Fired, Found, Released, findings, fired_alerts, releases, rules_are_loaded

SPEC = make_spec()
MINUTE, STEP, START = 60, 300, 600_000.0
GRID = Grid(START, STEP, 48)
ABOUT = {"alertname": "Burn", "slo": "integrity", "tier": "fast", "severity": "page"}


class Remembers:
    """A Prometheus that holds these series whatever it is asked, and notes what it was asked."""

    def __init__(self, *series: Series) -> None:
        self.series = series
        self.asked: list[str] = []

    def range(self, query: str, grid: Grid) -> list[Series]:
        self.asked.append(query)
        kept = [
            (one.labels, [s for s in one.samples if grid.start_seconds <= s[0] <= grid.end_seconds])
            for one in self.series
        ]
        return [Series(labels, samples) for labels, samples in kept if samples]

    def instant(self, query: str, at_seconds: float) -> list[tuple[dict[str, str], float]]:
        self.asked.append(query)
        return [({}, value) for one in self.series for seconds, value in one.samples if seconds == at_seconds]


def at_minutes(minutes, about=ABOUT) -> Series:
    return Series(about, [(START + MINUTE * minute, 1.0) for minute in sorted(minutes)])


def seen_from(step: int, version: str, model: str = "m") -> Series:
    return Series({"model": model, "model_version": version}, [(START + STEP * n, 1.0) for n in range(step, 49)])


@given(st.sets(st.integers(0, 59), max_size=40))
def test_an_alert_fired_for_exactly_the_minutes_in_which_it_was_seen(minutes):
    fired = fired_alerts(Remembers(at_minutes(minutes)), SPEC, START, START + 3_600)
    assert all(before.end_seconds < after.start_seconds for before, after in pairwise(fired))
    told = {n for one in fired for n in range(60) if one.start_seconds <= START + MINUTE * n < one.end_seconds}
    assert told == minutes
    assert all((one.alert, one.slo, one.tier, one.severity) == ("Burn", "integrity", "fast", "page") for one in fired)


def test_alerts_are_told_in_order_of_time_and_of_their_names():
    late, early = at_minutes([9]), at_minutes([3], ABOUT | {"alertname": "Zeal"})
    beside = at_minutes([3], ABOUT | {"alertname": "Zeal", "model": "a"})
    memory = Remembers(late, early, beside, at_minutes([3], {"alertname": "Alone"}))
    found = fired_alerts(memory, SPEC, START, START + 3_600)
    assert [one.alert for one in found] == ["Alone", "Zeal", "Zeal", "Burn"]
    assert found[0] == Fired("Alone", "", "", "", {"alertname": "Alone"}, START + 180, START + 240)
    assert [one.labels.get("model") for one in found[1:3]] == ["a", None]
    assert memory.asked == ['ALERTS{alertstate="firing", service="chat"}']


def test_alerts_outside_the_period_are_not_told_and_a_short_period_still_has_a_minute():
    memory = Remembers(at_minutes([0, 29, 30, 58, 59, 60, 61]))
    start = START + 30 * MINUTE
    for early in 0, 20:
        told = fired_alerts(memory, SPEC, start + early, START + 3_600)
        assert [one.start_seconds for one in told] == [start, START + 3_480]
    assert [one.start_seconds for one in fired_alerts(memory, SPEC, START + 3_600, START + 3_600)] == [START + 3_540]


def test_a_release_is_new_where_its_first_report_stands_in_the_period_and_not_at_the_edge_of_what_was_read():
    memory = Remembers(
        seen_from(0, "old"), seen_from(6, "edge"), seen_from(7, "c"), seen_from(20, "b"), seen_from(20, "a")
    )
    found = releases(memory, SPEC, START, GRID)
    assert found == [Released("m", v, START + STEP * n) for v, n in (("c", 7), ("a", 20), ("b", 20))]
    assert [one.version for one in releases(memory, SPEC, START + 20 * STEP, GRID)] == ["a", "b"]
    assert releases(memory, SPEC, START + 20 * STEP + 1, GRID) == []
    assert set(memory.asked) == {"group by (model, model_version) (locant_last_observation_timestamp_seconds)"}


def finding(mode: str, severity: str, *samples: tuple[int, float]) -> Series:
    about = {"failure_mode": mode, "severity": severity}
    return Series(about, [(START + STEP * step, value) for step, value in samples])


def test_a_finding_that_was_there_before_counts_what_it_gained_and_a_newborn_one_all_it_has():
    old, new = finding("F1", "page", (0, 5.0), (10, 7.0), (30, 8.0)), finding("F2", "page", (20, 3.0), (21, 4.0))
    assert findings(Remembers(old, new), SPEC, START + 20 * STEP, GRID) == [
        Found("F2", "page", 4, 0),
        Found("F1", "page", 1, 2),
    ]


def test_findings_stand_by_urgency_then_by_number_then_by_name_and_those_that_rest_are_not_told():
    rows = [
        ("F4", "odd", 9),
        ("F1", "info", 9),
        ("F2", "ticket", 1),
        ("F5", "page", 1),
        ("F6", "page", 2),
        ("F3", "page", 1),
    ]
    series = [finding(mode, severity, (9, count)) for mode, severity, count in rows]
    resting = finding("F9", "page", (0, 4.0), (9, 4.0))
    told = findings(Remembers(resting, *series), SPEC, START, GRID)
    assert [row.failure_mode for row in told] == ["F6", "F3", "F5", "F2", "F1", "F4"]
    twice = findings(Remembers(series[0], series[0]), SPEC, START, GRID)
    assert twice == [Found("F4", "odd", 18, 0)]


def test_rules_are_loaded_where_the_objective_of_the_service_is_recorded_at_that_moment():
    memory = Remembers(at_minutes([5]))
    assert rules_are_loaded(memory, SPEC, START + 5 * MINUTE)
    assert not rules_are_loaded(memory, SPEC, START + 6 * MINUTE)
    assert set(memory.asked) == {'locant:slo_objective:ratio{service="chat"}'}
