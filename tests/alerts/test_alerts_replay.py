"""The replay equals the generated rules on promtool, and its scores are what one counts by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from alert_support import check, events, make_spec, promtool_test

from locant_alerts.backtest import check_step, score
from locant_alerts.backtest_report import UNKNOWN, backtest_document
from locant_alerts.document import render_markdown
from locant_alerts.history import History
from locant_alerts.history.csv_file import read_csv
from locant_alerts.replay import Traffic, replay
from locant_slo import burn
from locant_slo.errors import ConfigError, MachineError

LOOSE = {
    "name": "integrity",
    "indicator": "position_integrity",
    "target": 0.99,
    "window": "7d",
    "alerting": {
        "no_data": {"action": "ignore"},
        "tiers": [
            {"name": "fast", "severity": "page", "budget": 0.08, "long": "1h", "short": "5m"},
            {"name": "slow", "severity": "ticket", "budget": 0.2, "long": "6h", "short": "30m", "hold": "5m"},
        ],
    },
}
MINUTES = 600


def stormy(seed: int) -> Traffic:
    """Traffic with idle stretches and bursts of bad events of random length and strength."""
    dice = random.Random(seed)
    traffic, bad = [], []
    while len(traffic) < MINUTES:
        rate, badness = dice.choice([0, 3, 40, 400]), dice.choice([0.0, 0.0, 0.02, 0.2, 1.0])
        for _ in range(dice.randint(3, 90)):
            traffic.append(rate)
            bad.append(round(rate * badness * dice.random()))
    return Traffic(60, tuple(traffic[:MINUTES]), tuple(bad[:MINUTES]))


def told(increments: tuple[int, ...]) -> str:
    value, values = 0, [0]
    for increment in increments:
        value += increment
        values.append(value)
    return " ".join(map(str, values))


@pytest.mark.slow
def test_the_replay_fires_in_the_same_minutes_as_the_rules_on_promtool(program, tmp_path):
    """Compared by how many minutes, their sum and the sum of their squares: for each tier of eight random streams."""
    spec = make_spec(LOOSE)
    (objective,) = spec.objectives
    series, checks, seen = [], [], 0
    for seed in range(8):
        traffic, model = stormy(seed), f"storm {seed}"
        series.append(events("position_integrity", told(traffic.events), model=model))
        series.append(events("position_integrity", told(traffic.bad), bad=True, model=model))
        firings = replay(objective, traffic)
        for tier in objective.alerting.tiers:
            fired = [step for item in firings if item.tier == tier.name for step in range(item.start, item.end)]
            seen += len(fired)
            alert = f'ALERTS{{tier="{tier.name}", model="{model}", alertstate="firing"}}'
            minute = f"(timestamp({alert}) / 60)"
            for expr, wanted in (
                (f"sum(count_over_time({alert}[{MINUTES}m]))", len(fired)),
                (f"sum(sum_over_time({minute}[{MINUTES}m:1m]))", sum(fired)),
                (f"sum(sum_over_time(({minute} ^ 2)[{MINUTES}m:1m]))", sum(step**2 for step in fired)),
            ):
                checks.append(check(expr, MINUTES, *([("{}", wanted)] if fired else [])))
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    assert seen > 500
    assert promtool_test(program("promtool"), tmp_path, spec, [test]) == ""


def steady(ratio: float, minutes: int = 30) -> History:
    """A day of even traffic with one incident after twelve hours."""
    bad = [0] * 720 + [round(1_000 * ratio)] * minutes + [0] * (720 - minutes)
    return History(Traffic(60, (1_000,) * 1_440, tuple(bad)), incidents=((720, 720 + minutes),))


class TestScores:
    def test_detection_is_what_the_formula_says(self):
        (objective,) = make_spec(LOOSE).objectives
        fast = score(objective, [steady(0.5)])[0]
        exact = burn.detection_seconds(objective.alerting.tiers[0], objective.target, objective.window, Decimal("0.5"))
        assert exact is not None
        assert 0 <= fast.detection_seconds[0] - exact <= 60
        assert (fast.precision, fast.recall, fast.firings) == (1.0, 1.0, 1)
        assert fast.firings_per_week == pytest.approx(7)

    def test_reset_is_the_short_window_and_the_keep_firing_time(self):
        (objective,) = make_spec(LOOSE).objectives
        assert 5 * 60 <= score(objective, [steady(1.0)])[0].reset_seconds[0] <= 5 * 60 + 300

    def test_budget_spent_is_what_was_bad_until_then(self):
        (objective,) = make_spec(LOOSE).objectives
        fast = score(objective, [steady(0.5)])[0]
        minutes = fast.detection_seconds[0] / 60
        assert fast.budget_spent[0] == pytest.approx(minutes * 500 / (0.01 * 1_000 * 7 * 1_440))

    def test_a_firing_without_incident_costs_precision(self):
        (objective,) = make_spec(LOOSE).objectives
        elsewhere = replace(steady(0.5), incidents=((10, 20),))
        assert score(objective, [elsewhere])[0].precision == 0.0
        assert score(objective, [elsewhere])[0].recall == 0.0

    def test_where_nobody_knows_the_incidents_neither_precision_nor_recall_is_claimed(self):
        (objective,) = make_spec(LOOSE).objectives
        fast = score(objective, [replace(steady(0.5), incidents=None)])[0]
        assert (fast.firings, fast.precision, fast.recall, fast.detection_seconds) == (1, None, None, ())
        assert fast.budget_spent[0] > 0
        assert UNKNOWN in render_markdown(backtest_document(objective, [replace(steady(0.5), incidents=None)]))

    def test_groups_are_told_together_and_the_first_one_detects(self):
        (objective,) = make_spec(LOOSE).objectives
        late = replace(steady(0.5), traffic=Traffic(60, (1_000,) * 1_440, (0,) * 740 + (500,) * 25 + (0,) * 675))
        both = score(objective, [late, steady(0.5)])[0]
        assert (both.firings, both.recall) == (2, 1.0)
        assert both.detection_seconds == score(objective, [steady(0.5)])[0].detection_seconds

    def test_no_bad_event_no_firing(self):
        (objective,) = make_spec(LOOSE).objectives
        calm = replace(steady(0.0), incidents=())
        assert all(item.firings == 0 and item.precision is None for item in score(objective, [calm]))

    def test_the_table_has_a_row_for_each_tier(self):
        (objective,) = make_spec(LOOSE).objectives
        text = render_markdown(backtest_document(objective, [steady(0.5)]))
        assert [row.split(" | ")[0] for row in text.splitlines() if row.startswith(("| fast", "| slow"))] == [
            "| fast",
            "| slow",
        ]

    def test_a_step_that_cuts_a_window_is_refused(self):
        (objective,) = make_spec(LOOSE).objectives
        check_step(objective, 60)
        with pytest.raises(ConfigError, match="tier fast of integrity looks at 5m, which is no whole number of them"):
            check_step(objective, 120)


class TestCsv:
    def test_is_read_with_its_incidents(self, tmp_path):
        path = tmp_path / "history.csv"
        path.write_text("time,events,bad,incident\n0,5,0,0\n30,5,1,1\n60,5,2,1\n90,5,0,0\n")
        assert read_csv(path) == History(Traffic(30, (5, 5, 5, 5), (0, 1, 2, 0)), incidents=((1, 3),))

    def test_without_the_column_the_incidents_are_unknown(self, tmp_path):
        path = tmp_path / "history.csv"
        path.write_text("time,events,bad\n60,5,0\n")
        assert read_csv(path) == History(Traffic(60, (5,), (0,)), start_seconds=60)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("time,events\n0,1\n", "column bad is missing; write time,events,bad"),
            ("", "column bad is missing"),
            ("time,events,bad\n0,x,0\n", "line 2: events is 'x'; write a whole number"),
            ("time,events,bad\n0,1\n", "line 2: bad is ''; write a whole number"),
            ("time,events,bad\n0,1,2\n", "line 2: 2 of 1 events are bad; count each event once"),
            ("time,events,bad\n0,1,0\n60,1,0\n90,1,0\n", "line 4: time goes on by 30 and not by 60; space it evenly"),
        ],
    )
    def test_a_fault_names_its_line(self, tmp_path, text, problem):
        path = tmp_path / "history.csv"
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_csv(path)
        assert problem in str(caught.value)

    def test_a_missing_file_says_so(self, tmp_path):
        with pytest.raises(MachineError, match="No such file"):
            read_csv(tmp_path / "none.csv")
