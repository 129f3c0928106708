"""What a format can hold comes back as it was; what it cannot hold is said."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from interop_support import RATIO as OPENSLO_RATIO
from interop_support import SLOTH, documents, slo, specs_of

from locant.cli import cli
from locant_slo.interop.exporting import FORMATS, export_specs
from locant_slo.load import parse_spec

EVENTS = {"kind": "events", "bad": 'requests_total{code=~"5.."}', "total": "requests_total"}
GOOD = {"kind": "events", "good": 'requests_total{code="ok"}', "total": "requests_total"}
RATIO = {"kind": "ratio", "error_ratio": "sum(increase(bad_total[$window])) / sum(increase(all_total[$window]))"}
SUCCESS = {"kind": "ratio", "success_ratio": "sum(increase(ok_total[$window])) / sum(increase(all_total[$window]))"}
GAUGE = {"kind": "gauge", "value": 'queue_lag{queue="a"}', "below": 50}
SLICED = {"kind": "gauge", "value": "queue_lag", "at_most": 50, "slice": "30s"}
TIERS = [
    {"name": "quick", "severity": "page", "budget": 0.01, "long": "2h", "short": "10m", "hold": "4m"},
    {"name": "calm", "severity": "ticket", "budget": 0.3, "long": "3d", "short": "6h", "hold": "30m"},
]

objective = st.fixed_dictionaries(
    {"target": st.sampled_from([0.95, 0.99, 0.995, 0.999])},
    optional={
        "description": st.sampled_from(["Kept.", "99 of 100: kept, mostly"]),
        "labels": st.just({"area": "front"}),
    },
)
grouped = st.fixed_dictionaries({}, optional={"group_by": st.sampled_from([["tenant"], ["tenant", "region"]])})


def spec_with(objectives: list[dict[str, Any]], **fields: Any):
    named = [{"name": f"slo-{index}"} | one for index, one in enumerate(objectives)]
    content = {"version": "locant/v1", "service": "shop", "retention": "400d", "team": "front", "labels": {"zone": "a"}}
    return parse_spec(yaml.safe_dump(content | fields | {"objectives": named}), "slo.yaml")


def back(spec, form):
    (found,) = specs_of(export_specs([spec], form).text)
    return found.model_copy(update={"retention": spec.retention, "probe": spec.probe})


class TestSloth:
    holdable = st.one_of(
        st.fixed_dictionaries({"indicator": st.sampled_from(["position_integrity", "padding_attention", RATIO])}),
        st.builds(lambda group: {"indicator": EVENTS} | group, grouped),
    )

    @settings(max_examples=40)
    @given(st.lists(st.builds(lambda a, b: a | b, holdable, objective), min_size=1, max_size=3))
    def test_comes_back_as_it_was(self, objectives):
        silent = [one | {"alerting": {"enabled": False}} for one in objectives[:1]]
        spec = spec_with([*objectives, *silent])
        assert back(spec, "sloth") == spec

    def test_one_severity_alone_comes_back(self):
        usual = spec_with([{"indicator": EVENTS, "target": 0.99}]).objectives[0].alerting.tiers
        tickets = [tier.model_dump(mode="json") for tier in usual if tier.severity == "ticket"]
        spec = spec_with([{"indicator": EVENTS, "target": 0.99, "alerting": {"tiers": tickets}}])
        assert back(spec, "sloth") == spec


class TestOpenSlo:
    holdable = st.one_of(
        st.fixed_dictionaries({"indicator": st.sampled_from(["position_integrity", RATIO, SUCCESS, GAUGE, SLICED])}),
        st.builds(lambda indicator, group: {"indicator": indicator} | group, st.sampled_from([EVENTS, GOOD]), grouped),
    )
    windows = st.sampled_from(
        [
            {"window": "30d"},
            {"window": "28d"},
            {"window": "14d"},
            {"calendar": {"period": "month", "time_zone": "Europe/Berlin"}},
            {"calendar": {"period": "quarter", "time_zone": "UTC"}},
        ]
    )
    alerting = st.sampled_from(
        [{}, {"enabled": False}, {"tiers": TIERS}, {"tiers": TIERS[:1], "no_data": {"action": "ignore"}}]
    )

    @settings(max_examples=60)
    @given(
        st.lists(
            st.builds(lambda a, b, c, d: a | b | c | {"alerting": d}, holdable, objective, windows, alerting),
            min_size=1,
            max_size=3,
        )
    )
    def test_comes_back_as_it_was(self, objectives):
        spec = spec_with(objectives)
        assert back(spec, "openslo") == spec


@pytest.mark.parametrize("form", FORMATS)
class TestLost:
    def notes(self, form, *objectives, **fields):
        spec = spec_with(list(objectives) or [{"indicator": EVENTS, "target": 0.99}], **fields)
        return [f"{note.path}: {note.sentence}" for note in export_specs([spec], form).notes]

    def test_nothing_is_noted_where_nothing_is_lost(self, form):
        assert self.notes(form) == []

    def test_guards_and_routes_are_noted(self, form):
        alerting = {"minimum_bad_events": 9, "no_data": {"after": "1h"}}
        notes = self.notes(
            form, {"indicator": EVENTS, "target": 0.99, "alerting": alerting}, routing={"page": "http://pager/x"}
        )
        assert len(notes) == 3
        assert any(note.startswith("shop: objectives[0].alerting.minimum_bad_events") for note in notes)
        assert any(note.startswith("shop: routing") for note in notes)


@pytest.mark.parametrize("form", FORMATS)
def test_services_with_objectives_of_one_name_come_back_each_with_its_selector(form):
    own = {"indicator": RATIO, "target": 0.99}
    specs = [
        parse_spec(
            yaml.safe_dump(
                {"version": "locant/v1", "service": service, "selector": {"job": service}}
                | {
                    "objectives": [
                        {"name": "a", "indicator": "position_integrity", "target": 0.99},
                        {"name": "b"} | own,
                    ]
                }
            ),
            "slo.yaml",
        )
        for service in ("chat", "search")
    ]
    found = specs_of(export_specs(specs, form).text)
    assert [(spec.service, spec.selector, spec.probe) for spec in found] == [
        (spec.service, spec.selector, True) for spec in specs
    ]
    assert all('job="chat"' in text for text in found[0].objectives[1].indicator.texts().values())


@pytest.mark.parametrize("form", FORMATS)
def test_a_subquery_over_the_window_is_exported_with_the_template(form):
    looks = {"kind": "events", "good": "sum_over_time((x)[$window:1m])", "bad": "sum_over_time((y)[$window:1m])"}
    text = export_specs([spec_with([{"indicator": looks, "target": 0.99}])], form).text
    assert "86399" not in text
    assert text.count("[{{.window}}:1m]") == 6


def test_holds_that_openslo_must_round_are_noted():
    tiers = [TIERS[0] | {"hold": "10s"}]
    spec = spec_with([{"indicator": EVENTS, "target": 0.99, "alerting": {"tiers": tiers}}])
    (note,) = export_specs([spec], "openslo").notes
    assert note.path == "shop: objectives[0].alerting.tiers[0].hold"


def test_sloth_cannot_hold_windows_and_tiers_of_its_own():
    objectives = [
        {"indicator": EVENTS, "target": 0.99, "window": "28d"},
        {"indicator": EVENTS, "target": 0.99, "window": "7d"},
        {"indicator": EVENTS, "target": 0.99, "calendar": {"period": "month"}},
        {"indicator": EVENTS, "target": 0.99, "alerting": {"tiers": TIERS}},
    ]
    notes = [note.sentence for note in export_specs([spec_with(objectives)], "sloth").notes]
    assert notes == [
        "tell Sloth: --default-slo-period=28d",
        "Sloth needs a file of windows for 7d: --slo-period-windows-path",
        "Sloth knows rolling windows alone; 30d stands for it",
        "Sloth has tiers of its own; page and ticket are kept",
    ]


class TestCommandLine:
    @pytest.mark.parametrize("text", [SLOTH, documents(slo(OPENSLO_RATIO))])
    def test_import_prints_a_spec_that_check_accepts_and_notes_on_standard_error(self, text, tmp_path):
        (tmp_path / "in.yaml").write_text(text)
        found = CliRunner().invoke(cli, ["import", str(tmp_path / "in.yaml")], catch_exceptions=False)
        (tmp_path / "slo.yaml").write_text(found.stdout)
        assert all(line.startswith(f"note: {tmp_path / 'in.yaml'}: ") for line in found.stderr.splitlines())
        checked = CliRunner().invoke(cli, ["check", "-f", str(tmp_path / "slo.yaml")], catch_exceptions=False)
        assert checked.exit_code == 0

    @pytest.mark.parametrize("form", FORMATS)
    def test_export_prints_what_import_reads(self, form, tmp_path):
        (tmp_path / "slo.yaml").write_text(
            "version: locant/v1\nservice: chat\nobjectives: [{name: a, indicator: position_integrity, target: 0.999}]\n"
        )
        arguments = ["export", "-f", str(tmp_path / "slo.yaml"), "--format", form]
        text = CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout
        found = CliRunner().invoke(cli, ["import", "-"], input=text, catch_exceptions=False)
        assert yaml.safe_load(found.stdout)["objectives"][0]["indicator"] == "position_integrity"
