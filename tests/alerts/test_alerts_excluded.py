"""Maintenance and the quiet after a release count nothing in a backtest and a review, as they do in the rules."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from alert_support import make_spec
from click.testing import CliRunner

from locant.cli import cli
from locant_alerts.history import History
from locant_alerts.history.api import Prometheus
from locant_alerts.history.counters import Grid
from locant_alerts.history.excluded import planned, without_excluded
from locant_alerts.history.prometheus import read_prometheus
from locant_alerts.replay import Traffic, replay
from support.blocks import Counter, import_counters
from support.real_servers import prometheus

HOUR = 3_600


def utc(*parts: int) -> float:
    return datetime(*parts, tzinfo=timezone.utc).timestamp()


def hours_marked(spec, start: float, hours: int) -> list[str]:
    marks = planned(spec, Grid(start, HOUR, hours))
    ends = [datetime.fromtimestamp(start, timezone.utc) + timedelta(hours=n + 1) for n in range(hours)]
    return [end.strftime("%m-%d %H") for end, mark in zip(ends, marks, strict=True) if mark]


class TestPlanned:
    def test_a_weekly_stretch_follows_the_clock_on_the_wall(self):
        """Berlin's clocks go forward on Sunday, 2026-03-29, at 02:00."""
        night = {"name": "night", "days": ["sat", "sun"], "start": "22:00", "lasts": "2h", "time_zone": "Europe/Berlin"}
        found = hours_marked(make_spec(maintenance=[night]), utc(2026, 3, 27), 96)
        assert found == ["03-28 22", "03-28 23", "03-29 21", "03-29 22"]

    def test_one_that_began_before_the_stretch_reaches_into_it(self):
        long = {"name": "long", "days": ["thu"], "start": "00:00", "lasts": "3d"}
        assert hours_marked(make_spec(maintenance=[long]), utc(2026, 3, 28, 22), 6) == ["03-28 23", "03-29 00"]

    def test_one_stretch_comes_once(self):
        once = {"name": "move", "at": "2026-03-28T10:00:00+02:00", "lasts": "2h"}
        assert hours_marked(make_spec(maintenance=[once]), utc(2026, 3, 27), 96) == ["03-28 09", "03-28 10"]


def test_excluded_steps_count_nothing_and_no_alert_fires_in_them():
    once = {"name": "move", "at": "2026-03-28T10:00:00Z", "lasts": "1h"}
    spec = make_spec(maintenance=[once])
    (objective,) = spec.objectives
    start, minutes = utc(2026, 3, 28, 4), 600
    bad = tuple(50 if 300 <= minute < 420 else 0 for minute in range(minutes))
    history = History(Traffic(60, (100,) * minutes, bad), start_seconds=start)
    (kept,) = without_excluded([history], spec, Grid(start, 60, minutes))
    assert sum(kept.traffic.bad) == 60 * 50
    assert sum(kept.traffic.events) == (minutes - 60) * 100
    assert kept.excluded == ((360, 420),)
    fast = [one for one in replay(objective, kept.traffic) if one.tier == "fast"]
    assert fast
    assert all(one.end <= 360 + 5 + 1 or one.start > 425 for one in fast)  # it is kept firing for five minutes


def test_what_is_silent_ends_an_alert_as_the_end_of_its_condition_does():
    (objective,) = make_spec().objectives
    traffic = Traffic(60, (100,) * 300, (50,) * 300)
    assert replay(objective, replace(traffic, silent=((0, 300),))) == ()


MINUTES = 480
START = int(time.time()) // HOUR * HOUR - 43_200
FLAG, RELEASE = (100, 140), 200


def bed() -> list[Counter]:
    """One bad event of ten all day; a flag is up for a while, and at minute 200 a release follows another."""
    sli = {"indicator": "position_integrity", "model": "m", "model_version": "1"}
    info = {"model": "m", "scheme": "rotary"}
    return [
        Counter("locant_sli_events_total", sli, [10] * MINUTES),
        Counter("locant_sli_bad_events_total", sli, [1] * MINUTES),
        Counter("works", {"on": "it"}, [0] * (FLAG[1] - FLAG[0]), since=FLAG[0], born=1),
        Counter("locant_model_info", info | {"model_version": "1"}, [0] * RELEASE, born=1),
        Counter("locant_model_info", info | {"model_version": "2"}, [0] * (MINUTES - RELEASE), since=RELEASE, born=1),
    ]


@pytest.mark.server
def test_a_prometheus_tells_the_time_of_what_the_spec_does_not(program, tmp_path):
    import_counters(program("promtool"), tmp_path, bed(), START)
    spec = make_spec(maintenance=[{"name": "works", "condition": "works == 1"}], deploys={"quiet": "30m"})
    with prometheus(program("prometheus"), tmp_path, []) as api, Prometheus(api.url) as source:
        (history,) = read_prometheus(source, spec, spec.objectives[0], Grid(START, 60, MINUTES))
    quiet = [minute for minute, count in enumerate(history.traffic.events) if not count]
    flagged = [minute for minute in quiet if minute < 180]
    released = [minute for minute in quiet if minute >= 180]
    assert FLAG[0] - 1 <= flagged[0] <= FLAG[0]
    assert FLAG[1] - 1 <= flagged[-1] <= FLAG[1] + 5  # the last sample is seen for five minutes
    assert RELEASE - 1 <= released[0] <= RELEASE
    assert RELEASE + 28 <= released[-1] <= RELEASE + 31
    assert sum(history.traffic.bad) == MINUTES - len(quiet)


def test_other_sources_say_what_they_count_anyway(tmp_path):
    (tmp_path / "slo.yaml").write_text(
        "version: locant/v1\nservice: chat\ndeploys: {quiet: 30m}\n"
        "maintenance: [{name: works, condition: works == 1}]\n"
        "objectives: [{name: a, indicator: position_integrity, target: 0.999}]\n"
    )
    arguments = ["backtest", "-f", str(tmp_path / "slo.yaml"), "--slo", "a", "--simulate", "spike"]
    found = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert "note: works, the quiet after releases: only --prometheus knows when, so it counts here" in found.stderr
