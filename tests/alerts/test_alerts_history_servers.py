"""History read from a real Prometheus and from its data folder: exact counts, through restarts and gaps."""

from __future__ import annotations

import os
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from alert_support import make_spec
from click.testing import CliRunner

from locant.cli import cli
from locant_alerts.history.api import Prometheus
from locant_alerts.history.counters import Grid
from locant_alerts.history.prometheus import found_in_prometheus, read_prometheus
from locant_alerts.history.tsdb import read_tsdb
from locant_slo.errors import ConfigError, LocantError, MachineError
from support.blocks import Counter, import_counters
from support.real_servers import eventually, prometheus, victoria_metrics

MINUTES = 900
START = int(time.time()) // 3_600 * 3_600 - 86_400
GRID = Grid(START, 60, MINUTES)
GAP = range(300, 304)
NAMES = {"events": "locant_sli_events_total", "bad": "locant_sli_bad_events_total"}


@dataclass(frozen=True)
class Bed:
    """A data folder and what really happened: events and bad events a minute, by release."""

    data: Path
    events: dict[str, tuple[int, ...]]
    bad: dict[str, tuple[int, ...]]


@pytest.fixture
def bed(program, tmp_path) -> Bed:
    """Two releases; of the first, two pods: one restarts while events are bad, the other is not scraped for a while."""
    dice = random.Random(5)
    traffic = {pod: [dice.randint(5, 40) for _ in range(MINUTES)] for pod in ("a", "b", "c")}
    bad = {
        pod: [n // 2 if 400 <= minute < 440 and pod != "c" else 0 for minute, n in enumerate(counts)]
        for pod, counts in traffic.items()
    }
    counters = []
    for kind, told in (("events", traffic), ("bad", bad)):
        for pod, counts in told.items():
            labels = {
                "indicator": "position_integrity",
                "model": "m",
                "model_version": "2" if pod == "c" else "1",
                "pod": pod,
            }
            scraped = [None if pod == "b" and minute in GAP else n for minute, n in enumerate(counts)]
            counters.append(Counter(NAMES[kind], labels, scraped, restart=420 if pod == "a" else None))
    lost = {minute: traffic["b"][minute] for minute in GAP}  # told as None, so never counted
    events = tuple(
        a + b - lost.get(minute, 0) for minute, (a, b) in enumerate(zip(traffic["a"], traffic["b"], strict=True))
    )
    both = tuple(a + b for a, b in zip(bad["a"], bad["b"], strict=True))
    data = import_counters(program("promtool"), tmp_path, counters, START)
    return Bed(data, {"1": events, "2": tuple(traffic["c"])}, {"1": both, "2": (0,) * MINUTES})


def told(histories) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    return {h.labels["model_version"]: (h.traffic.events, h.traffic.bad) for h in histories}


@pytest.mark.server
def test_the_data_folder_gives_every_event_back(program, bed):
    (objective,) = (spec := make_spec()).objectives
    whole = read_tsdb(bed.data, spec, objective, 60)
    assert told(whole) == {version: (bed.events[version], bed.bad[version]) for version in ("1", "2")}
    part = read_tsdb(bed.data, spec, objective, 60, Grid(START + 60 * 390, 60, 100))
    assert told(part)["1"] == (bed.events["1"][390:490], bed.bad["1"][390:490])
    with pytest.raises(ConfigError, match="no sample of"):
        read_tsdb(bed.data, make_spec(selector={"job": "other"}), objective, 60)
    with pytest.raises(MachineError, match="no such folder"):
        read_tsdb(bed.data / "none", spec, objective, 60)


@pytest.mark.server
def test_a_prometheus_gives_the_same_in_one_page_or_in_many(program, bed, tmp_path):
    (objective,) = (spec := make_spec()).objectives
    with prometheus(program("prometheus"), tmp_path, []) as api:
        for points in (10_000, 64):
            with Prometheus(api.url, points=points) as source:
                found = read_prometheus(source, spec, objective, GRID)
            assert told(found) == {version: (bed.events[version], bed.bad[version]) for version in ("1", "2")}
        end = str(START + 60 * MINUTES)
        incidents = tmp_path / "incidents.csv"
        incidents.write_text(f"start,end\n{START + 60 * 400},{START + 60 * 440}\n")
        (tmp_path / "slo.yaml").write_text(
            "version: locant/v1\nservice: chat\nretention: 40d\n"
            "objectives: [{name: integrity, indicator: position_integrity, target: 0.999}]\n"
        )
        common = ["backtest", "-f", str(tmp_path / "slo.yaml"), "--slo", "integrity", "--incidents", str(incidents)]
        output = tmp_path / "report.html"
        live = CliRunner().invoke(
            cli,
            [*common, "--prometheus", api.url, "--over", "15h", "--until", end, "--output", str(output)],
            catch_exceptions=False,
        )
        with pytest.raises(MachineError, match=r"refuses 'up\('"), Prometheus(api.url) as source:
            source.instant("up(", START)
    cold = CliRunner().invoke(cli, [*common, "--tsdb", str(bed.data)], catch_exceptions=False)
    assert cold.output == live.output.replace(f"drawn in {output}\n", "")
    fast = next(line for line in cold.output.splitlines() if line.startswith("| fast"))
    assert fast.split(" | ")[1:5] == ["1", "11", "100%", "100%"]
    page = output.read_text()
    assert page.count("<svg") == 2
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


BROKEN = range(300, 340)
KINDS = {
    "good and total": {"kind": "events", "good": 'calls_total{code="ok"}', "total": "calls_total"},
    "an expression": {
        "kind": "events",
        "bad": 'sum(increase(calls_total{code="bad"}[$window]))',
        "total": "calls_total",
    },
    "verdict": {"kind": "verdict", "counter": "calls_total", "label": "code", "bad": ["bad"]},
    "gauge": {"kind": "gauge", "value": "lag", "below": 5},
}


@pytest.mark.server
def test_what_is_no_pair_of_counters_is_counted_by_asking(program, tmp_path):
    """Ten calls a minute of which five are bad, and a gauge beyond its bound, for forty minutes."""
    bad = [5 if minute in BROKEN else 0 for minute in range(MINUTES)]
    lag = [9 if minute == BROKEN[0] else -9 if minute == BROKEN[-1] + 1 else 0 for minute in range(MINUTES)]
    counters = [
        Counter("calls_total", {"code": "bad"}, bad),
        Counter("calls_total", {"code": "ok"}, [10 - n for n in bad]),
        Counter("lag", {"queue": "a"}, lag),
    ]
    import_counters(program("promtool"), tmp_path, counters, START)
    found = {}
    with prometheus(program("prometheus"), tmp_path, []) as api, Prometheus(api.url) as source:
        for name, indicator in KINDS.items():
            spec = make_spec({"name": "a", "indicator": indicator, "target": 0.99})
            (history,) = read_prometheus(source, spec, spec.objectives[0], GRID)
            found[name] = sum(history.traffic.bad)
            where = [minute for minute, count in enumerate(history.traffic.bad) if count]
            assert BROKEN[0] - 1 <= where[0] <= BROKEN[0] + 1
            assert BROKEN[-1] <= where[-1] <= BROKEN[-1] + 6
            with pytest.raises(ConfigError, match="more than two counters"):
                read_tsdb(tmp_path / "data", spec, spec.objectives[0], 60)
    assert found.pop("gauge") == len(BROKEN)
    assert all(abs(count - 200) <= 2 for count in found.values()), found


@pytest.mark.server
def test_a_victoria_metrics_answers_like_a_prometheus(tmp_path):
    path = os.environ.get("LOCANT_VICTORIA_METRICS") or shutil.which("victoria-metrics")
    if not path:
        pytest.skip("NOT PROVEN HERE: no victoria-metrics; tests/tools/fetch_victoria_metrics.sh FOLDER unpacks one")
    traffic = [10 + minute % 7 for minute in range(MINUTES)]
    bad = [5 if minute in BROKEN else 0 for minute in range(MINUTES)]
    labels = {"indicator": "position_integrity", "model": "m", "model_version": "1"}
    inside = ",".join(f'{name}="{value}"' for name, value in labels.items())
    lines = [
        f"{NAMES[kind]}{{{inside}}} {value} {1_000 * (START + 60 * at)}"
        for kind, counts in (("events", traffic), ("bad", bad))
        for at, value in Counter(NAMES[kind], labels, counts, restart=320).samples()
    ]
    (objective,) = (spec := make_spec()).objectives
    with victoria_metrics(path, tmp_path) as api, Prometheus(api.url, points=200) as source:
        httpx.post(f"{api.url}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()
        found = eventually(lambda: found_in_prometheus(source, spec, objective, GRID))
    assert told(found) == {"1": (tuple(traffic), tuple(bad))}


@pytest.mark.parametrize("given", [[], ["--csv", "a", "--tsdb", "b"]])
def test_exactly_one_source_is_named(given, tmp_path):
    (tmp_path / "slo.yaml").write_text(
        "version: locant/v1\nservice: chat\nobjectives: [{name: a, indicator: position_integrity, target: 0.999}]\n"
    )
    result = CliRunner().invoke(cli, ["backtest", "-f", str(tmp_path / "slo.yaml"), "--slo", "a", *given])
    assert isinstance(result.exception, LocantError)
    assert "name exactly one of --prometheus, --tsdb, --csv, --simulate" in str(result.exception)
