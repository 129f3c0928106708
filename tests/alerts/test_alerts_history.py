"""Samples of counters become traffic as the rules read them; ranges come in pages; incidents can be made up."""

from __future__ import annotations

import math

import httpx
import pytest
from alert_support import make_spec
from hypothesis import given
from hypothesis import strategies as st

from locant_alerts.backtest import score
from locant_alerts.history.api import Prometheus, pages
from locant_alerts.history.counters import Grid, Series, histories, increments, whole
from locant_alerts.history.csv_file import read_incidents
from locant_alerts.history.simulate import SHAPES, parse_incident, simulate
from locant_alerts.history.tsdb import read_dump
from locant_slo import burn
from locant_slo.errors import ConfigError, MachineError

MINUTE = Grid(0, 60, 5)


def counted(*values: float, start: float = 0, labels: dict[str, str] | None = None) -> Series:
    return Series(labels or {"model": "m"}, [(start + 60 * n, value) for n, value in enumerate(values)])


class TestCounters:
    def test_a_restart_begins_anew_at_zero(self):
        assert [value for _, value in increments([(0, 5), (60, 9), (120, 2), (180, 3)])] == [0, 4, 2, 1]

    def test_the_first_sample_says_nothing_about_what_came_before(self):
        assert list(increments([(0, 1_000_000)])) == [(0, 0)]

    def test_marks_of_staleness_are_no_samples(self):
        assert [value for _, value in increments([(0, 5), (60, math.nan), (120, 7)])] == [0, 2]

    def test_what_was_counted_in_a_gap_arrives_when_it_ends(self):
        grid = Grid(0, 60, 12)
        (history,) = histories([Series({}, [(0, 0), (60, 5), (600, 20), (660, 21)])], [], [], grid)
        assert history.traffic.events == (5, *[0] * 8, 15, 1, 0)
        assert history.unseen == ((1, 9), (11, 12))

    def test_rare_scrapes_are_no_gap(self):
        (history,) = histories([Series({}, [(0, 0), (120, 5), (300, 20)])], [], [], MINUTE)
        assert history.traffic.events == (0, 5, 0, 0, 15)
        assert history.unseen == ()

    def test_series_of_a_group_add_up_and_groups_stay_apart(self):
        events = [counted(0, 1, 2, 3, 4, 5, labels={"model": name, "pod": pod}) for name in "ab" for pod in "xy"]
        found = histories(events, [counted(0, 1, 1, 1, 1, 1, labels={"model": "a"})], ["model"], MINUTE)
        assert [(history.name, history.traffic.events, history.traffic.bad) for history in found] == [
            ("a", (2, 2, 2, 2, 2), (1, 0, 0, 0, 0)),
            ("b", (2, 2, 2, 2, 2), (0, 0, 0, 0, 0)),
        ]

    def test_a_bad_event_is_never_seen_before_its_event(self):
        (history,) = histories([counted(0, 1, 3, 3, 3, 3)], [counted(0, 3, 3, 3, 3, 3)], ["model"], MINUTE)
        assert history.traffic.bad == (1, 2, 0, 0, 0)

    def test_a_sample_belongs_to_the_step_that_it_ends(self):
        assert [MINUTE.step(seconds) for seconds in (0, 1, 60, 61, 300)] == [-1, 0, 0, 1, 4]

    @given(st.lists(st.floats(0, 1e6), max_size=50))
    def test_rounding_loses_nothing(self, parts):
        told, total = 0, 0.0
        for exact, whole_one in zip(parts, whole(parts), strict=True):
            total, told = total + exact, told + whole_one
            assert abs(total - told) <= 0.5 + 1e-6

    @given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60))
    def test_restarts_hide_nothing_that_was_scraped(self, steps):
        """A counter that restarts before it counts on: every increment is found again."""
        value, samples = 0, [(0.0, 0.0)]
        wanted = []
        for number, (increment, restarts) in enumerate(steps, 1):
            before, value = value, (0 if restarts else value) + increment
            wanted.append(increment if not restarts or value < before else value - before)
            samples.append((60.0 * number, float(value)))
        assert [found for _, found in increments(samples)][1:] == wanted


class TestPages:
    @given(steps=st.integers(1, 500), points=st.integers(1, 60))
    def test_every_moment_stands_on_exactly_one_page_and_no_page_is_too_long(self, steps, points):
        grid = Grid(7.0, 60, steps)
        moments = []
        for start, end in pages(grid, points):
            count = round((end - start) / 60) + 1
            assert 1 <= count <= points
            moments += [start + 60 * n for n in range(count)]
        assert moments == [7.0 + 60 * n for n in range(steps + 1)]


def answering(answer: httpx.Response) -> Prometheus:
    prometheus = Prometheus("http://prometheus")
    prometheus._client = httpx.Client(transport=httpx.MockTransport(lambda request: answer))
    return prometheus


class TestRefusals:
    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (httpx.Response(200, text="<html>"), "status 200 and no JSON"),
            (httpx.Response(400, json={"status": "error", "error": "parse error at char 3"}), "parse error at char 3"),
            (httpx.Response(200, json=[1]), "refuses"),
            (httpx.Response(200, json={"status": "success", "data": None}), "answers without a matrix"),
            (httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": []}}), "matrix"),
        ],
    )
    def test_each_is_a_sentence_with_the_address(self, answer, words):
        with answering(answer) as prometheus, pytest.raises(MachineError, match=words) as caught:
            prometheus.range("up", MINUTE)
        assert "http://prometheus" in str(caught.value)

    def test_none_shows_a_password(self):
        with Prometheus("http://me:my@secret@127.0.0.1:9/a") as prometheus, pytest.raises(MachineError) as caught:
            prometheus.instant("up", 0)
        assert "http://127.0.0.1:9/a: no Prometheus" in str(caught.value)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "http://[::1"])
    def test_nobody_there_is_a_sentence(self, url):
        with Prometheus(url) as prometheus, pytest.raises(MachineError, match="no Prometheus answers there"):
            prometheus.range("up", MINUTE)


def test_a_dump_is_read_with_its_escapes_and_broken_lines_are_not():
    lines = [
        '{__name__="x_total", path="a\\"b\\\\c, d=\\"e\\"", pod="p"} 3 1500',
        "nonsense",
        '{__name__="x_total", path="a\\"b\\\\c, d=\\"e\\"", pod="p"} NaN 2500',
    ]
    (series,) = read_dump(lines)
    assert series.labels == {"__name__": "x_total", "path": 'a"b\\c, d="e"', "pod": "p"}
    assert series.samples[0] == (1.5, 3.0)
    assert math.isnan(series.samples[1][1])


class TestSimulation:
    @pytest.mark.parametrize("name", sorted(SHAPES))
    def test_every_shape_spends_what_its_curve_says(self, name):
        incident = parse_incident(f"{name}:0.4@6h")
        history = simulate([incident], events_per_step=1_000, calm_seconds=3_600, step_seconds=60)
        ((start, end),) = history.incidents
        assert (start, end, len(history.traffic.events)) == (60, 60 + 360, 60 + 360 + 60)
        share = {"step": 1, "spike": 1, "slow-burn": 0.5, "flapping": 0.5}[name]
        assert sum(history.traffic.bad) == pytest.approx(0.4 * share * 360_000, rel=1e-3)
        assert max(history.traffic.bad) <= 401

    def test_noise_is_everywhere_and_stays_a_share(self):
        history = simulate([], events_per_step=100, calm_seconds=60_000, step_seconds=60, noise_ratio=0.001)
        assert history.incidents == ()
        calm = simulate([parse_incident("spike")], events_per_step=100, calm_seconds=60_000, step_seconds=60)
        noisy = simulate(
            [parse_incident("spike")], events_per_step=100, calm_seconds=60_000, step_seconds=60, noise_ratio=0.001
        )
        assert sum(noisy.traffic.bad) - sum(calm.traffic.bad) == 200

    def test_each_tier_detects_a_step_when_the_formula_says(self):
        (objective,) = make_spec().objectives
        for ratio in (0.02, 0.1, 1.0):
            incident = parse_incident(f"step:{ratio}@3d")
            history = simulate([incident], events_per_step=10_000, calm_seconds=300_000, step_seconds=60)
            for tier, found in zip(objective.alerting.tiers, score(objective, [history]), strict=True):
                exact = burn.detection_seconds(
                    tier, objective.target, objective.window, objective.target.__class__(str(ratio))
                )
                assert exact is not None
                assert 0 <= found.detection_seconds[0] - exact <= 120
                assert found.budget_spent[0] > 0

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("quake", "no such incident; write step"),
            ("step:0", "no error ratio"),
            ("step:1.5", "no error ratio"),
            ("step:0.1.2", "--simulate step:0.1.2"),
            ("step:0.1@soon", "no duration"),
            ("step:0.1@900d", "longer than 60d"),
            ("", "no such incident"),
        ],
    )
    def test_what_is_no_incident_is_a_sentence(self, text, words):
        with pytest.raises(ConfigError, match=words):
            parse_incident(text)


class TestIncidentFile:
    def test_ranges_are_cut_to_the_stretch(self, tmp_path):
        path = tmp_path / "incidents.csv"
        path.write_text("start,end\n1970-01-01T00:02:30Z,1970-01-01T00:03:30Z\n900,1200\n")
        assert read_incidents(path, 0, 60, 10) == ((2, 4),)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("start\n1\n", "column end is missing; write start,end"),
            ("start,end\n", "has no line below its head"),
            ("start,end\n9,3\n", "line 2: the incident ends before it starts"),
            ("start,end\nnoon,3\n", "line 2: start: 'noon' is no moment"),
            ("start,end\n9\n", "line 2: end: '' is no moment"),
        ],
    )
    def test_a_fault_names_its_line(self, tmp_path, text, words):
        path = tmp_path / "incidents.csv"
        path.write_text(text)
        with pytest.raises(ConfigError, match=words):
            read_incidents(path, 0, 60, 10)
