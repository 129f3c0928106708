"""Every query of every board answers on a real Prometheus that scrapes our exporter and runs our rules."""

from __future__ import annotations

import json
import shutil
import time

import pytest
import yaml

from locant_alerts.rules import build_rules
from locant_dashboards.boards import BOARDS
from locant_exporters.http import serve
from locant_slo import burn, names, promql
from locant_slo.catalogue import metrics
from locant_slo.catalogue.labels import LENGTH_BUCKET, PHASE
from support.full_snapshot import RELEASES, full_snapshot
from support.panels import BUILT_IN, label_queries, problems, queries
from support.real_servers import Api, eventually, free_port, running

pytestmark = [pytest.mark.server, pytest.mark.slow]
YOUNG = {"__rate_interval": "20s", "__interval": "1s", "__range": "1m"}
"""Windows for a Prometheus that is seconds old."""


def fast(rules: str) -> str:
    """The generated rules, evaluated every second. Nothing else about them changes."""
    document = yaml.safe_load(rules)
    return json.dumps({"groups": [{**group, "interval": "1s"} for group in document["groups"]]})


@pytest.fixture(scope="module")
def api(tmp_path_factory, spec, request):
    program = shutil.which("prometheus") or pytest.skip("NOT PROVEN HERE: prometheus is not installed")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "rules.yml").write_text(fast(build_rules(spec)))
    started_at = time.time()
    server = serve(lambda: full_snapshot(time.time(), started_at), address="127.0.0.1:0")
    config = {
        "global": {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "agent", "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    try:
        with running(command, f"{url}/-/ready", folder / "prometheus.log"):
            api = Api(url)
            eventually(lambda: api.series(promql.selector("ALERTS", {"alertstate": "firing"})), 60)
            eventually(lambda: api.series(names.BUDGET_REMAINING), 60)
            yield api
    finally:
        server.close()


@pytest.mark.parametrize("name", BOARDS)
def test_no_query_of_the_board_is_empty_or_nan(api, boards, name):
    assert settled(boards[name], api) == []


def settled(board, api, seconds: float = 30.0) -> list[str]:
    """The problems that stay: a busy machine may miss a scrape, and then shows nothing until the next."""
    deadline = time.monotonic() + seconds
    while (found := problems(board, api, YOUNG)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_own_windows_are_valid_promql(api, boards, name):
    for _, expr in queries(boards[name], BUILT_IN):
        api.series(expr)


def test_variables_offer_the_releases_that_are_there(api, boards):
    offered = {
        name: api.get(f"/api/v1/label/{label}/values", **{"match[]": selector})
        for name, selector, label in label_queries(boards["debug.json"])
    }
    assert offered == {
        "model": ["gpt2"],
        "model_version": [version for _, version in RELEASES],
        "layer": ["0", "1"],
        "head": ["0", "1", "2"],
    }


def test_a_chosen_release_narrows_every_model_query(api, boards):
    for board in boards.values():
        for query in queries(board, {**YOUNG, "model": "gpt2", "model_version": "r1"}):
            shown = {dict(labels).get("model_version", "r1") for labels in api.series(query.expr)}
            assert shown == {"r1"} or query.panel == "Alerts that fire", query


def test_the_proof_sees_an_empty_a_refused_and_an_idle_query(api, boards):
    board = json.loads(json.dumps(boards["oncall.json"]))
    asked = {panel["title"]: panel["targets"][0] for panel in board["panels"] if "targets" in panel}
    asked["Burn rate by SLO"]["expr"] = "nothing_of_the_kind"
    asked["Length drift"]["expr"] = "sum("
    latency = asked["Latency per token (p95)"]
    latency["expr"] = latency["expr"].removesuffix(" >= 0")
    found = problems(board, api, YOUNG)
    assert {problem.partition(": ")[0] for problem in found} == {
        "Burn rate by SLO",
        "Length drift",
        "Latency per token (p95)",
    }
    assert [word for word in ("empty", "NaN", "parse error") if any(word in problem for problem in found)] == [
        "empty",
        "NaN",
        "parse error",
    ]


def values(api, board, title) -> list[float]:
    """What the panel of that title shows."""
    exprs = [expr for panel, expr in queries(board, YOUNG) if panel == title]
    return list(eventually(lambda: [value for expr in exprs for value in api.series(expr).values()]))


def test_the_numbers_are_the_ones_that_were_exported(api, boards):
    """One event in ten is bad."""
    executive, oncall, debug = (boards[name] for name in ("executive.json", "oncall.json", "debug.json"))
    assert values(api, executive, "Sequence correctness") == [pytest.approx(0.9, abs=0.02)]
    assert values(api, oncall, "Padding among computed tokens") == pytest.approx([0.1] * 2, abs=0.02)
    assert values(api, debug, "Attention map of the chosen layers and heads") == [0.25] * 4
    assert len(values(api, debug, "Padding attention per head")) == 6


def test_tiers_reach_one_where_their_alert_is_due(api, boards, spec):
    """With an error ratio of a tenth, each objective stands at 0.1 / budget / factor of each tier."""
    due = [
        0.1 / float(burn.threshold(tier, objective.target, objective.window))
        for objective in spec.objectives
        for tier in objective.alerting.tiers
    ]
    title = "How close each tier is to firing"
    eventually(lambda: sorted(values(api, boards["oncall.json"], title)) == pytest.approx(sorted(due), rel=0.1))


def test_cost_follows_the_formula_on_the_panel(api, boards):
    """All rows wait alike in the snapshot, so a token costs its waiting time times pass time over waiting time."""
    per_token, passes = metrics.TOKEN_DURATION, metrics.FORWARD_DURATION
    wait = sum(per_token.buckets) / (len(per_token.buckets) + 1)
    waiting = sum(per_token.buckets) * len(PHASE.values) * len(LENGTH_BUCKET.values)
    shared = sum(passes.buckets) * len(PHASE.values) / waiting
    shown = values(api, boards["executive.json"], "Compute per 1,000 tokens by sequence length")
    assert shown == pytest.approx([1000 * wait * shared] * len(LENGTH_BUCKET.values), rel=1e-3)
    price = values(api, boards["executive.json"], "Price of a million tokens by sequence length")
    assert price == pytest.approx([1e6 * wait * shared / 3600] * len(LENGTH_BUCKET.values), rel=1e-3)
