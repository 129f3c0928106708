"""Labels that an objective is grouped by are chosen at the top of the boards and kept in the panels on budgets."""

from __future__ import annotations

import pytest
import yaml

from locant_dashboards import build
from locant_slo.load import parse_spec
from locant_slo.spec import Spec
from support.panels import queries

EVENTS = {"kind": "events", "bad": 'x_total{code=~"5.."}', "total": "x_total"}


@pytest.fixture(scope="module")
def spec() -> Spec:
    grouped = {"name": "a", "indicator": EVENTS, "target": 0.99, "group_by": ["model", "tenant", "shard"]}
    plain = {"name": "b", "indicator": "position_integrity", "target": 0.999}
    content = {"version": "locant/v1", "service": "chat", "retention": "40d"}
    return parse_spec(yaml.safe_dump(content | {"objectives": [grouped | {"similar": ["shard"]}, plain]}), "slo.yaml")


@pytest.mark.parametrize("name", ["executive.json", "oncall.json", "debug.json"])
def test_every_board_lets_one_choose_the_tenant_and_not_what_is_similar(spec, name):
    variables = {item["name"]: item for item in build(spec)[name]["templating"]["list"]}
    assert "tenant" in variables
    assert "shard" not in variables
    assert variables["tenant"]["allValue"] == ".*"


def test_budgets_burn_rates_and_tiers_are_shown_by_tenant(spec):
    asked = [query.expr for board in build(spec).values() for query in queries(board, {})]
    about = [query for query in asked if "locant:slo_b" in query or "locant:sli_error" in query]
    assert len(about) > 4
    assert all("by (slo, tenant)" in query and 'tenant=~".*"' in query for query in about)


def test_boards_of_a_service_that_no_probe_watches_ask_for_its_objectives_alone():
    content = {"version": "locant/v1", "service": "chat", "retention": "40d", "probe": False}
    objectives = [{"name": "a", "indicator": EVENTS, "target": 0.99, "group_by": ["model"]}]
    boards = build(parse_spec(yaml.safe_dump(content | {"objectives": objectives}), "slo.yaml"))
    assert set(boards) == {"executive.json", "oncall.json"}
    for board in boards.values():
        asked = [query.expr for query in queries(board, {})]
        assert asked
        assert not [expr for expr in asked if "locant_" in expr]
        assert {item["name"] for item in board["templating"]["list"]} == {"datasource", "model"}


def test_a_group_label_that_is_called_like_a_variable_of_ours_has_one_of_its_own():
    content = {"version": "locant/v1", "service": "chat", "retention": "40d"}
    grouped = {"name": "a", "indicator": EVENTS, "target": 0.99, "group_by": ["layer"]}
    for board in build(parse_spec(yaml.safe_dump(content | {"objectives": [grouped]}), "slo.yaml")).values():
        variables = [item["name"] for item in board["templating"]["list"]]
        assert len(variables) == len(set(variables))
        assert "group_layer" in variables
