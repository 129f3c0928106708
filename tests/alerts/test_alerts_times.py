"""Calendar periods, maintenance and the quiet after a release: against Python's calendar, on real servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from alert_support import check, events, make_spec, promtool_test

from locant_alerts.model import Recording
from locant_alerts.stretches import time_group
from locant_slo import names
from locant_slo.clock import offset_expr
from locant_slo.spec import Spec
from support.real_servers import Api, prometheus

FAST = {"name": "fast", "severity": "page", "budget": 0.02, "long": "1h", "short": "5m"}
LONE = {
    "name": "integrity",
    "indicator": "position_integrity",
    "target": 0.999,
    "alerting": {"tiers": [FAST], "no_data": {"action": "ignore"}},
}
ZONES = ("Europe/Berlin", "America/New_York", "Pacific/Auckland")
STRETCHES = (
    ("2026-03-07", 2),
    ("2026-03-28", 5),
    ("2026-09-26", 2),
    ("2026-10-24", 2),
    ("2026-10-31", 2),
    ("2026-12-30", 3),
)
"""Where clocks change, and where weeks, months, quarters and years begin."""


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Api]:
    import shutil

    if (program := shutil.which("prometheus")) is None:
        pytest.skip("NOT PROVEN HERE: prometheus is missing; `make servers` installs it as root on Debian")
    with prometheus(program, tmp_path_factory.mktemp("prometheus"), []) as api:
        yield api


def rules(spec: Spec, name: str) -> list[str]:
    """The expressions that record a series, with the recorded offsets written out."""
    (group,) = time_group(spec)
    found = [rule for rule in group.rules if isinstance(rule, Recording)]
    offset = re.compile(r'scalar\(locant:time:utc_offset_seconds\{[^}]*time_zone="([^"]*)"\}\)')
    return [offset.sub(lambda zone: f"({offset_expr(zone[1])})", rule.expr) for rule in found if rule.record == name]


def hourly(api: Api, query: str) -> dict[datetime, list[dict[str, str]]]:
    """The labels of every sample in each hour of the stretches."""
    found: dict[datetime, list[dict[str, str]]] = {}
    for first, days in STRETCHES:
        start = datetime.fromisoformat(first).replace(tzinfo=timezone.utc)
        found |= {start + timedelta(hours=hour): [] for hour in range(24 * days)}
        parameters = {"query": query, "start": start.timestamp(), "step": 3_600}
        end = start.timestamp() + 3_600 * (24 * days - 1)
        for series in api.get("/api/v1/query_range", **parameters, end=end)["result"]:
            for moment, _ in series["values"]:
                found[datetime.fromtimestamp(moment, timezone.utc)].append(series["metric"])
    return found


def period_of(local: datetime, period: str) -> str:
    if period == "week":
        return (local - timedelta(days=local.weekday())).strftime("%Y%m%d")
    return local.strftime("%Y%m") if period == "month" else f"{local.year}{(local.month + 2) // 3}"


@pytest.mark.server
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("period", ["week", "month", "quarter"])
def test_a_period_begins_when_the_calendar_says(server, zone, period):
    spec = make_spec(LONE | {"calendar": {"period": period, "time_zone": zone}})
    (expr,) = rules(spec, names.PERIOD_INFO)
    for moment, labels in hourly(server, expr).items():
        assert labels == [{"period": period_of(moment.astimezone(ZoneInfo(zone)), period)}], moment


@pytest.mark.server
@pytest.mark.parametrize("zone", ZONES)
def test_a_weekly_stretch_lasts_as_a_clock_on_the_wall_shows(server, zone):
    nightly = {"name": "n", "days": ["sat", "sun"], "start": "22:30", "lasts": "4h", "time_zone": zone}
    (expr,) = rules(make_spec(LONE, maintenance=[nightly]), names.MAINTENANCE)
    for moment, found in hourly(server, expr).items():
        local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        begun = [(local - timedelta(days=days)).replace(hour=22, minute=30) for days in (0, 1)]
        lasts = any(start.weekday() >= 5 and start <= local < start + timedelta(hours=4) for start in begun)
        assert bool(found) == lasts, moment


@pytest.mark.server
def test_a_stretch_that_comes_once_lasts_from_its_moment(server):
    once = {"name": "n", "at": "2026-12-24T22:00:00+01:00", "lasts": "2h"}
    (expr,) = rules(make_spec(LONE, maintenance=[once]), names.MAINTENANCE)
    assert not any(hourly(server, expr).values())
    day = datetime(2026, 12, 24, tzinfo=timezone.utc).timestamp()
    assert [hour for hour in range(24) if server.series(expr, day + 3_600 * hour)] == [21, 22]


FLAG = {"name": "frozen", "condition": 'frozen{env="prod"} == 1'}


def told(*rises: tuple[int, int]) -> str:
    """A counter's samples: so many steps of such a rise."""
    value, words = 0, ["0"]
    for steps, rise in rises:
        for _ in range(steps):
            value += rise
            words.append(str(value))
    return " ".join(words)


def minutes_fired(more: str, minutes: int, wanted: float | None) -> dict[str, Any]:
    alert = f'ALERTS{{alertname="LocantIntegrityBudgetBurn", alertstate="firing"{more}}}'
    return check(f"sum(count_over_time({alert}[{minutes}m])) > 0", minutes, *([("{}", wanted)] if wanted else []))


@pytest.mark.slow
def test_maintenance_costs_nothing_and_pages_nobody_and_the_same_fault_outside_does(program, tmp_path):
    """Two models live through the same hour; a condition takes it out of the counts of the service that has it."""
    bad = told((60, 0), (30, 50), (90, 0))
    series = [
        events("position_integrity", told((180, 100))),
        events("position_integrity", bad, bad=True),
        {"series": 'frozen{env="prod"}', "values": "0x59 1x30 0x90"},
    ]
    budget, ratio = "locant:slo_budget_remaining:ratio", "locant:sli_error:ratio1h"
    calm = [minutes_fired("", 180, None), check(f"sum({budget})", 180, ("{}", 1)), check(f"{ratio} > 0", 120)]
    calm.append(check("abs(locant:sli_events:increase1h - 2500) > 300", 120))
    spec = make_spec(LONE, maintenance=[FLAG])
    test = {"interval": "1m", "input_series": series, "promql_expr_test": calm}
    assert promtool_test(program("promtool"), tmp_path, spec, [test], rules=everything(spec)) == ""
    loud = [
        check('count(ALERTS{alertstate="firing", tier="fast"})', 75, ("{}", 1)),
        check(f"count({budget} < 0)", 180, ("{}", 1)),
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": loud}
    assert promtool_test(program("promtool"), tmp_path, make_spec(LONE), [test]) == ""


def everything(spec: Spec) -> str:
    from alert_support import only

    from locant_alerts.rules import build_rules

    return only(build_rules(spec), "chat/time", "chat/integrity/")


@pytest.mark.slow
def test_what_goes_wrong_before_and_after_a_stretch_still_counts(program, tmp_path):
    """Half an hour of maintenance in the middle of a fault: what stands outside is paged for and paid."""
    series = [
        events("position_integrity", told((240, 100))),
        events("position_integrity", told((60, 0), (120, 50), (60, 0)), bad=True),
        {"series": 'frozen{env="prod"}', "values": "0x99 1x29 0x111"},
    ]
    spec = make_spec(LONE, maintenance=[FLAG])
    firing = 'count(ALERTS{alertstate="firing", tier="fast"})'
    spent = "locant:sli_bad_events:increase30d"
    checks = [
        check(firing, 80, ("{}", 1)),
        check(firing, 120),
        check(firing, 150, ("{}", 1)),
        # 120 minutes of 50, less 30 of maintenance and at most five around it
        check(f"sum({spent}) / scalar(sum(locant:sli_events:increase30d)) < {50 * 85 / 21_000}", 240),
        check(f"sum({spent}) / scalar(sum(locant:sli_events:increase30d)) > {50 * 91 / 20_500}", 240),
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    assert promtool_test(program("promtool"), tmp_path, spec, [test], rules=everything(spec)) == ""


@pytest.mark.slow
def test_a_release_is_fresh_for_as_long_as_the_spec_says_and_a_restart_or_a_first_start_is_not(program, tmp_path):
    spec = make_spec(LONE, deploys={"quiet": "10m"})

    def info(model: str, version: str, values: str, pod: str = "a") -> dict[str, str]:
        return {
            "series": f'locant_model_info{{model="{model}", model_version="{version}", pod="{pod}"}}',
            "values": values,
        }

    series = [
        info("new", "1", "1x100"),
        info("new", "2", "_x30 1x70"),
        info("restarted", "1", "1x30 stale _x4 1x70"),
        info("first", "1", "_x30 1x70"),
    ]
    fresh = 'count by (model) (locant:time:deploy{service="chat"})'
    checks = [
        check(fresh, 5),
        check(fresh, 29),
        check(fresh, 31, ('{model="new"}', 1)),
        check(fresh, 39, ('{model="new"}', 1)),
        check(fresh, 41),
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    assert promtool_test(program("promtool"), tmp_path, spec, [test], rules=everything(spec)) == ""
