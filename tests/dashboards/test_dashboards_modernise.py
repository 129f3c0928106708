"""The one pure step from grafanalib's JSON to today's."""

from __future__ import annotations

import copy
import json

import pytest
from grafanalib import core as G  # noqa: N812
from grafanalib._gen import DashboardEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_dashboards.grafana import Dashboard, PromTarget, Stat, TimeSeries, modernise
from locant_dashboards.grafana.layout import Line, Section, lay_out

identities = st.one_of(st.none(), st.integers(1, 4))
targets = st.lists(st.fixed_dictionaries({"refId": st.sampled_from(["", "A", "B", "AA"])}), max_size=30)
steps = st.lists(
    st.fixed_dictionaries(
        {
            "color": st.sampled_from(["red", "green"]),
            "value": st.one_of(st.none(), st.sampled_from(["", "null"]), st.floats(-9, 9)),
        }
    ),
    max_size=4,
)
some_panels = st.lists(
    st.builds(
        lambda identity, queries, thresholds: {
            "id": identity,
            "type": "stat",
            "span": 3,
            "targets": queries,
            "fieldConfig": {"defaults": {"thresholds": {"mode": "absolute", "steps": thresholds}}, "overrides": []},
        },
        identities,
        targets,
        steps,
    ),
    max_size=6,
)


@settings(max_examples=50)
@given(some_panels)
def test_it_is_pure_idempotent_and_makes_names_unique(panels):
    board = {"panels": panels, "rows": [], "style": "dark"}
    before = copy.deepcopy(board)
    new = modernise(board)
    assert board == before
    assert modernise(new) == new
    assert len({panel["id"] for panel in new["panels"]}) == len(panels)
    for panel in new["panels"]:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        assert all(letters)
        values = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])


def test_a_stock_panel_of_grafanalib_comes_out_current():
    stat = G.Stat(
        title="old", targets=[G.Target(expr="up"), G.Target(expr="down")], thresholds=[G.Threshold("red", 0, 0.0)]
    )
    board = Dashboard(title="t", panels=[stat]).to_json_data()
    panel = board["panels"][0]
    assert [target["refId"] for target in panel["targets"]] == ["A", "B"]
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"] == [{"color": "red", "value": None}]
    assert not {"span", "error", "editable", "height"} & panel.keys()
    assert board["schemaVersion"] == 42


def test_rows_of_the_old_layout_are_refused_and_not_lost():
    with pytest.raises(ValueError, match="place `panels` instead"):
        Dashboard(title="t", rows=[G.Row(panels=[])]).to_json_data()


def test_panels_inside_a_collapsed_row_are_modernised_too():
    inside = G.Stat(title="in", targets=[G.Target(expr="up")])
    board = Dashboard(title="t", panels=[G.RowPanel(title="r", collapsed=True, panels=[inside]), inside]).to_json_data()
    row, outside = board["panels"]
    assert row["panels"][0]["targets"][0]["refId"] == "A"
    assert len({row["id"], row["panels"][0]["id"], outside["id"]}) == 3


@pytest.mark.parametrize(
    ("variable", "current"),
    [
        (
            G.Template(name="a", query="q", includeAll=True, multi=True),
            {"selected": True, "text": ["All"], "value": ["$__all"]},
        ),
        (G.Template(name="a", query="q", includeAll=True), {"selected": True, "text": "All", "value": "$__all"}),
        (G.Template(name="a", query="q", default="x"), {"selected": True, "text": "x", "value": "x"}),
        (G.Template(name="a", query="q"), None),
    ],
)
def test_a_variable_opens_with_a_value_or_leaves_it_to_grafana(variable, current):
    board = Dashboard(title="t", templating=G.Templating([variable])).to_json_data()
    assert board["templating"]["list"][0].get("current") == current


def test_encoding_twice_gives_the_same_text():
    board = Dashboard(title="t", panels=[a_panel()])
    texts = {json.dumps(board.to_json_data(), cls=DashboardEncoder, sort_keys=True) for _ in range(2)}
    assert len(texts) == 1


def a_panel() -> TimeSeries:
    return TimeSeries(title="t", description="d.", unit="s", targets=[PromTarget(expr="up")])


@settings(max_examples=50)
@given(st.lists(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 12)), max_size=4), max_size=4))
def test_a_layout_never_overlaps(shape):
    sections = [Section("s", tuple(Line((a_panel(),) * count, height) for count, height in lines)) for lines in shape]
    cells = [
        (x, y)
        for panel in lay_out(sections)
        for x in range(panel.gridPos.x, panel.gridPos.x + panel.gridPos.w)
        for y in range(panel.gridPos.y, panel.gridPos.y + panel.gridPos.h)
    ]
    assert len(set(cells)) == len(cells)
    assert all(0 <= x < 24 for x, _ in cells)


def test_a_line_that_is_too_wide_is_refused():
    with pytest.raises(ValueError, match="give 24 in all"):
        lay_out([Section("s", (Line((a_panel(), a_panel()), widths=(20, 5)),))])


def test_a_panel_cannot_forget_its_unit():
    with pytest.raises(TypeError, match="unit"):
        Stat(title="t", description="d.", targets=[])
