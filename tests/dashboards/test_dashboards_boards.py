"""What the boards promise: the rules of Grafana's dashboard linter, and a few of our own."""

from __future__ import annotations

import json
import re

import pytest

from locant_dashboards import build
from locant_dashboards.boards import BOARDS
from locant_dashboards.grafana import DATASOURCE
from locant_slo import names
from locant_slo.catalogue import ALL, Kind
from locant_slo.spec import Spec
from support.panels import panels, queries

RECORDED = [value for value in vars(names).values() if isinstance(value, str) and value.startswith("locant:")]
EXPECTED = {
    "executive.json": {
        "Sequence correctness",
        "Evidence that a release is worse",
        "Latency per token by sequence length (p95)",
        "Compute per 1,000 tokens by sequence length",
        "Budget left",
    },
    "oncall.json": {
        "Latency per token (p95)",
        "Recent deploys against correctness delta",
        "Streaming chunk errors",
        "Top failing checks",
        "Burn rate by SLO",
        "How close each tier is to firing",
        "Passes that attend to padding",
        "Position integrity",
        "Length drift",
    },
    "debug.json": {
        "Attention map of the chosen layers and heads",
        "Padding attention per head",
        "Attention entropy per head",
        "Sequence lengths",
        "Memory per sequence (p95)",
        "Context utilization",
        "Coverage by signal",
        "Queue depth",
        "Observations dropped",
        "Probe errors",
        "Time the probe takes (p99)",
        "Series",
        "Age of the last observation",
    },
}

board = pytest.mark.parametrize("name", BOARDS)


def known_names() -> set[str]:
    """Every series that we export or record, spelled as Prometheus stores it."""
    exported = {
        metric.prometheus_name + suffix
        for metric in ALL
        for suffix in (("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",))
    }
    return exported | {re.sub(r"\{window\}", "", name) for name in RECORDED}


def test_the_boards_are_json_and_always_the_same(spec, boards):
    assert json.dumps(build(spec)) == json.dumps(boards)
    assert json.loads(json.dumps(boards)) == boards


@board
def test_every_question_of_the_board_has_its_panel(boards, name):
    assert EXPECTED[name] <= {panel["title"] for panel in panels(boards[name])}


@board
def test_every_panel_has_unit_description_thresholds_and_title(boards, name):
    for panel in panels(boards[name]):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"].endswith((".", "none")), panel["title"]
        assert defaults["unit"]
        assert defaults["thresholds"]["steps"][0]["value"] is None


@board
def test_every_query_goes_to_the_chosen_data_source(boards, name):
    first = boards[name]["templating"]["list"][0]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    holders = [*panels(boards[name]), *boards[name]["annotations"]["list"], *boards[name]["templating"]["list"][1:]]
    asking = [item for item in holders if item.get("type") not in ("textbox",)]
    targets = [target for panel in panels(boards[name]) for target in panel["targets"]]
    assert all(item["datasource"] == DATASOURCE for item in [*asking, *targets])


@board
def test_ids_and_titles_are_unique_and_queries_are_lettered(boards, name):
    everything = boards[name]["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)
    for panel in panels(boards[name]):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == [chr(ord("A") + index) for index in range(len(letters))]


@board
def test_no_panel_overlaps_another_or_leaves_the_grid(boards, name):
    cells = [
        (x, y)
        for panel in boards[name]["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} <= set(range(24))


@board
def test_windows_follow_the_screen_or_are_the_slow_hour(boards, name):
    texts = [target["expr"] for panel in panels(boards[name]) for target in panel["targets"]]
    windows = {window for text in texts for window in re.findall(r"\[([^\]]+)\]", text)}
    assert windows <= {"$__rate_interval", "$__range", "1h", "$__range:$__interval"}


@board
def test_exemplars_are_fetched_for_range_queries_only(boards, name):
    for panel in panels(boards[name]):
        for target in panel["targets"]:
            assert target["range"] != target["instant"]
            assert target["range"] or not target["exemplar"]


@board
def test_every_series_is_one_that_we_export_or_record(boards, name):
    known = known_names()
    for panel, expr in queries(boards[name]):
        used = set(re.findall(r"\blocant[:_][a-z0-9_:]*", expr))
        unknown = {item for item in used if re.sub(r"\d+[smhd]$", "", item) not in known}
        assert not unknown, panel


@board
def test_obsolete_keys_and_nulls_are_gone(boards, name):
    text = json.dumps(boards[name])
    for key in ("span", "minSpan", "intervalFactor", "useTags", "sharedCrosshair", "__inputs", "cacheTimeout"):
        assert f'"{key}":' not in text
    assert set(re.findall(r'"(\w+)": null', text)) == {"value"}  # a threshold's base
    assert boards[name]["schemaVersion"] == 42


def test_boards_link_to_each_other_and_to_the_runbooks(spec, boards):
    for content in boards.values():
        siblings, runbooks = content["links"]
        assert set(siblings["tags"]) <= set.intersection(*(set(other["tags"]) for other in boards.values()))
        assert siblings["includeVars"]
        assert siblings["keepTime"]
        assert runbooks["url"] == spec.runbook_url


def test_two_services_never_share_an_address(spec):
    long = spec.model_copy(update={"service": "a" * 63})
    uids = [content["uid"] for one in (spec, long) for content in build(one).values()]
    assert len(set(uids)) == 6
    assert all(len(uid) <= 40 for uid in uids)


def test_the_objective_is_the_line_in_the_graph():
    objective = {"name": "correct", "indicator": "sequence_correctness", "target": "0.97"}
    content = build(Spec.model_validate({"version": "locant/v1", "service": "s", "objectives": [objective]}))
    panel = next(p for p in panels(content["executive.json"]) if p["title"] == "Sequence correctness by release")
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1] == {"color": "green", "value": 0.97}


def test_the_selector_of_the_spec_narrows_every_exported_series(spec):
    narrowed = build(spec.model_copy(update={"selector": {"job": "chat"}}))
    for content in narrowed.values():
        for panel, expr in queries(content):
            for found in re.findall(r"\blocant_\w+(\{[^}]*\})?", expr):
                assert 'job="chat"' in found, panel


def test_a_spec_without_alerts_still_gives_boards():
    quiet = {"name": "s", "indicator": "padding_attention", "target": "0.9", "alerting": {"enabled": False}}
    content = build(Spec.model_validate({"version": "locant/v1", "service": "s", "objectives": [quiet]}))
    assert {panel["title"] for panel in panels(content["oncall.json"])} >= EXPECTED["oncall.json"] - {
        "How close each tier is to firing"
    }
    assert all(panel["targets"] for panel in panels(content["oncall.json"]))


@board
def test_links_lead_to_boards_that_exist(boards, name):
    uids = {content["uid"] for content in boards.values()}
    assert set(re.findall(r"/d/([\w-]+)", json.dumps(boards[name]))) <= uids
    assert set(re.findall(r"/d/([\w-]+)", json.dumps(boards["executive.json"]))) == {boards["oncall.json"]["uid"]}


def test_matrices_sort_their_labels_as_numbers_before_the_pivot(boards):
    for panel in panels(boards["debug.json"]):
        steps = [step["id"] for step in panel.get("transformations", [])]
        if "groupingToMatrix" in steps:
            assert steps == ["convertFieldType", "sortBy", "sortBy", "groupingToMatrix"]
