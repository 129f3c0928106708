"""The recorded ratios and budgets against exact counting of simulated events."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from alert_support import check, events, make_spec, promtool_test

MINUTES = 1_800
QUIET = {
    "name": "integrity",
    "indicator": "position_integrity",
    "target": 0.999,
    "window": "7d",
    "alerting": {"enabled": False},
}
SLOW = 'locant:sli_error:ratio7d{model="%s"}'
COUNT = 'locant:sli_bad_events:increase7d{model="%s"}'
BUDGET = 'locant:slo_budget_remaining:ratio{model="%s"}'


@dataclass(frozen=True)
class Stream:
    """Events and bad events a minute, how many pods share them, and how often one restarts."""

    events: list[int]
    bad: list[int]
    pods: int = 1
    restarts: bool = False

    @property
    def ratio(self) -> float:
        return sum(self.bad) / sum(self.events)


def uneven() -> Stream:
    """Quiet hours in which a tenth is bad, busy ones with almost nothing: averages of ratios go wrong by two orders."""
    night = [1] * 1_500
    bad_night = [1 if minute % 10 == 5 else 0 for minute in range(1_500)]
    return Stream(night + [1_000] * 300, bad_night + [1 if minute % 10 == 5 else 0 for minute in range(300)])


def idle() -> Stream:
    """Twice ten idle hours."""
    hour = [60] * 60
    return Stream([*hour * 5, *[0] * 600, *hour * 5, *[0] * 600], [*[1] * 300, *[0] * 600, *[0] * 300, *[0] * 600])


def rare() -> Stream:
    """Forty bad events in two days' worth of even traffic."""
    chosen = set(random.Random(7).sample(range(20, MINUTES - 20), 40))
    return Stream([50] * MINUTES, [1 if minute in chosen else 0 for minute in range(MINUTES)])


def pods() -> Stream:
    """Forty pods with random traffic that restart at random."""
    dice = random.Random(11)
    traffic = [dice.randint(0, 400) for _ in range(MINUTES)]
    return Stream(traffic, [dice.randint(0, 3) if n > 10 else 0 for n in traffic], pods=40, restarts=True)


STREAMS = {"uneven": uneven(), "idle": idle(), "rare": rare(), "pods": pods()}


def counters(stream: Stream, seed: int) -> list[tuple[str, str]]:
    """Each pod's counters of all and of bad events, dealt at random; a restart begins anew from zero."""
    dice = random.Random(seed)
    dealt = []
    for increments in (stream.events, stream.bad):
        shares = [[0] * len(increments) for _ in range(stream.pods)]
        for minute, count in enumerate(increments):
            for _ in range(count if stream.pods > 1 else 0):
                shares[dice.randrange(stream.pods)][minute] += 1
            if stream.pods == 1:
                shares[0][minute] = count
        dealt.append(shares)
    restarts = [dice.randrange(200, MINUTES - 200) if stream.restarts else None for _ in range(stream.pods)]
    return [
        (told(all_events, restart), told(bad_events, restart))
        for all_events, bad_events, restart in zip(*dealt, restarts, strict=True)
    ]


def told(increments: list[int], restart: int | None) -> str:
    value, values = 0, [0]
    for minute, increment in enumerate(increments):
        value = increment if minute == restart else value + increment
        values.append(value)
    return " ".join(map(str, values))


@pytest.mark.slow
def test_the_long_ratio_is_within_one_percent_of_the_truth_and_no_budget_is_nan(program, tmp_path):
    series, checks = [], []
    for seed, (model, stream) in enumerate(STREAMS.items()):
        for pod, (good, bad) in enumerate(counters(stream, seed)):
            series.append(events("position_integrity", good, model=model, pod=str(pod)))
            series.append(events("position_integrity", bad, bad=True, model=model, pod=str(pod)))
        remaining = 1 - stream.ratio / 0.001
        checks += [
            check(f"abs({SLOW % model} / {stream.ratio} - 1) > 0.01", MINUTES),
            check(f"abs({COUNT % model} / {sum(stream.bad)} - 1) > 0.01", MINUTES),
            check(f"abs({BUDGET % model} - {remaining}) > 0.01 * {abs(remaining) + 1}", MINUTES),
            check(f"count({BUDGET % model})", MINUTES, ("{}", 1)),
        ]
    for series_name in ("locant:sli_error:ratio5m", "locant:sli_error:ratio7d", "locant:slo_budget_remaining:ratio"):
        nan = f"(({series_name} != {series_name}))[{MINUTES}m:7m]"
        checks.append(check(f"count_over_time({nan})", MINUTES))
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    assert promtool_test(program("promtool"), tmp_path, make_spec(QUIET, scrape_interval="60s"), [test]) == ""
