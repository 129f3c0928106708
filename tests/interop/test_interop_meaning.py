"""On a real Prometheus an imported objective has Sloth's error ratio where Sloth has one, and none where it has NaN."""

from __future__ import annotations

import math
import random
import time

import pytest
import yaml
from interop_support import SLOTH, imported, specs_of

from locant_slo.counts import counts
from locant_slo.durations import format_duration
from locant_slo.interop.exporting import export_specs
from locant_slo.load import parse_spec
from support.blocks import Counter, import_counters
from support.real_servers import Api, prometheus

MINUTES = 480
START = int(time.time()) // 3_600 * 3_600 - 43_200
IDLE = range(300, 400)
WINDOWS = (300, 1_800, 3_600, 21_600)
MOMENTS = (120, 290, 470)


def bed() -> list[Counter]:
    """Requests and latencies with an idle stretch, and three guests whose satisfaction goes up and down."""
    dice = random.Random(8)
    traffic = [0 if minute in IDLE else dice.randint(20, 90) for minute in range(MINUTES)]
    failed = [int(n * dice.random() * 0.2) for n in traffic]
    right = [n - bad for n, bad in zip(traffic, failed, strict=True)]
    fast = [int(n * (0.7 + 0.3 * dice.random())) for n in traffic]
    found = [
        Counter("http_requests_total", {"job": "shop", "code": "503"}, failed),
        Counter(
            "http_requests_total",
            {"job": "shop", "code": "200"},
            right,
        ),
        Counter("request_seconds_count", {"verb": "GET"}, traffic),
        Counter("request_seconds_bucket", {"verb": "GET", "le": "0.4"}, fast),
    ]
    for guest in ("a", "b", "c"):
        moves = [dice.choice((0, 0, 0, 1, -1)) for _ in range(MINUTES)]
        found.append(Counter("guest_satisfaction", {"guest": guest}, moves))
    return found


def value(api: Api, query: str, minute: int) -> float | None:
    found = list(api.series(query, START + 60 * minute).values())
    assert len(found) <= 1
    return found[0] if found else None


def theirs(slo: dict, window: str) -> str:
    """Sloth's own rule: the error query over the total query, or the ratio as it is."""
    sli = slo["sli"]
    if "raw" in sli:
        return sli["raw"]["error_ratio_query"].replace("{{.window}}", window)
    parts = [sli["events"][key].replace("{{ .window }}", "{{.window}}") for key in ("error_query", "total_query")]
    return " / ".join(f"({part})" for part in parts).replace("{{.window}}", window)


def ours(spec, objective, window: int) -> str:
    bad, events = counts(spec, objective, window)
    return f"({bad}) / (({events}) > 0)"


@pytest.mark.server
def test_ratios_are_equal_where_sloth_has_one_and_absent_where_it_has_none(program, tmp_path):
    import_counters(program("promtool"), tmp_path, bed(), START)
    (spec,) = specs_of(SLOTH)
    compared, absent = 0, 0
    with prometheus(program("prometheus"), tmp_path, []) as api:
        for slo, objective in zip(yaml.safe_load(SLOTH)["slos"], spec.objectives, strict=True):
            for window in WINDOWS:
                for minute in MOMENTS:
                    wanted = value(api, theirs(slo, format_duration(window)), minute)
                    found = value(api, ours(spec, objective, window), minute)
                    assert wanted is not None
                    inside = min(1.0, max(0.0, wanted))
                    assert found == pytest.approx(inside, abs=1e-9), (slo["name"], window, minute)
                    compared += 1
            if slo["name"] in {"availability", "latency"}:
                idle = theirs(slo, "5m")
                assert math.isnan(value(api, idle, IDLE[50]) or 0.0)
                assert value(api, ours(spec, objective, 300), IDLE[50]) is None
                absent += 1
    assert (compared, absent) == (48, 2)


@pytest.mark.server
def test_what_is_exported_to_sloth_means_the_same(program, tmp_path):
    """Kinds that Sloth has no word for become queries with the same ratio."""
    import_counters(program("promtool"), tmp_path, bed(), START)
    kinds = [
        {"kind": "events", "good": 'http_requests_total{code="200"}', "total": "http_requests_total"},
        {"kind": "verdict", "counter": "http_requests_total", "label": "code", "bad": ["503"]},
        {"kind": "latency", "histogram": "request_seconds", "le": 0.4},
    ]
    objectives = [{"name": f"kind-{n}", "indicator": kind, "target": 0.99} for n, kind in enumerate(kinds)]
    content = {"version": "locant/v1", "service": "shop", "retention": "40d", "objectives": objectives}
    spec = parse_spec(yaml.safe_dump(content), "slo.yaml")
    text = export_specs([spec], "sloth").text
    again = imported(text)[0]
    with prometheus(program("prometheus"), tmp_path, []) as api:
        for slo, objective in zip(yaml.safe_load(text)["slos"], spec.objectives, strict=True):
            for window in WINDOWS[:3]:
                there = value(api, theirs(slo, format_duration(window)), 290)
                here = value(api, ours(spec, objective, window), 290)
                back = value(api, ours(spec, again[objective.name], window), 290)
                assert here
                assert there == pytest.approx(here, abs=1e-9)
                assert back == pytest.approx(here, abs=1e-9)
            assert value(api, theirs(slo, "5m"), IDLE[50]) is None
