"""Every query of every board on a real Prometheus that scraped the running agent of two real models."""

from __future__ import annotations

import pytest
import yaml

from locant.demo.backends import Backends, find_programs
from locant.demo.faults import Fault
from locant.demo.stage import Stage
from locant.probe.options import ProbeOptions
from locant_alerts.alertmanager import build_alertmanager
from locant_alerts.rules import build_rules
from locant_dashboards import build
from locant_slo.load import parse_spec
from support.panels import problems
from support.real_servers import Api, eventually

pytestmark = [pytest.mark.server, pytest.mark.slow]

SPEC = """
version: locant/v1
service: e2e
scrape_interval: 1s
retention: 2d
objectives:
  - name: position-integrity
    indicator: position_integrity
    target: 0.99
    window: 1h
    alerting: &quick
      minimum_bad_events: 3
      tiers: [{name: fast, severity: page, budget: 0.02, long: 1m, short: 10s, hold: 1s}]
      no_data: {action: ignore}
  - {name: sequence-correctness, indicator: sequence_correctness, target: 0.9, window: 1h, alerting: *quick}
"""
VARIABLES = {"__rate_interval": "20s", "__interval": "1s", "__range": "1m"}
NOT_IN_THIS_HOUSE = frozenset(
    {
        "Peak device memory",  # no accelerator
        "Evidence that a release is worse",  # one release only: nothing to compare with
        "Cases that a release keeps right",
        "Heads with changed entropy",
        "Length drift",  # needs a pinned reference
        "Sequence length against the reference",
    }
)


def often(rules):
    """The same rules, evaluated every second: the test has no minutes to wait."""
    document = yaml.safe_load(rules)
    for group in document["groups"]:
        group["interval"] = "1s"
    return yaml.safe_dump(document)


def test_every_query_answers_from_the_running_agent(tmp_path):
    programs = find_programs()
    if isinstance(programs, str):
        pytest.skip(f"NOT PROVEN HERE: {programs}")
    spec = parse_spec(SPEC, "e2e")
    with Stage(ProbeOptions(overhead_budget=None)) as stage:  # the queries are tried here, not what looks may cost
        target = stage.metrics_url.removeprefix("http://").removesuffix("/metrics")
        rules, routing = {"e2e.rules.yaml": often(build_rules(spec))}, build_alertmanager([spec])
        with Backends(programs, tmp_path, targets=[target], rules=rules, alertmanager=routing) as backends:
            eventually(lambda: all(stage.canary_runs().values()), 120)
            stage.strike("gpt2", Fault.POSITIONS_NOT_RESET)
            stage.strike("llama", Fault.MASK_LOST)
            api = Api(backends.prometheus_url)

            def open_questions():
                return [
                    sentence
                    for board in build(spec).values()
                    for sentence in problems(board, api, VARIABLES, may_be_empty=NOT_IN_THIS_HOUSE)
                ]

            last = []

            def settled():
                last[:] = open_questions()
                return not last

            try:
                eventually(settled, 90, 2.0)
            except AssertionError:
                pytest.fail("\n".join(last))
