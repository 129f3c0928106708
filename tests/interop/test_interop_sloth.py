"""Sloth's specs become ours: the same events, the same alerts, and a note for what is lost."""

from __future__ import annotations

import pytest
import yaml
from interop_support import SLOTH, imported, specs_of

from locant_slo.errors import SpecError
from locant_slo.interop.importing import import_text
from locant_slo.load import parse_specs
from locant_slo.spec import SRE_WORKBOOK_TIERS


class TestIndicators:
    def test_a_ratio_of_rates_is_two_counters(self):
        indicator = imported(SLOTH)[0]["availability"].indicator
        assert (indicator.kind, indicator.bad, indicator.total) == (
            "events",
            'http_requests_total{job="shop",code=~"(5..|429)"}',
            'http_requests_total{job="shop"}',
        )

    def test_a_difference_of_rates_is_one_of_counts(self):
        indicator = imported(SLOTH)[0]["latency"].indicator
        assert indicator.bad.count("increase(") == 2
        assert "rate(" not in indicator.bad
        assert indicator.total == 'request_seconds_count{verb!="WATCH"}'

    def test_a_zero_that_was_filled_in_is_filled_by_us(self):
        assert "vector" not in imported(SLOTH)[0]["satisfied-guests"].indicator.bad

    def test_a_ratio_stays_one(self):
        indicator = imported(SLOTH)[0]["satisfaction"].indicator
        assert (indicator.kind, indicator.weight) == ("ratio", None)

    def test_groups_are_kept(self):
        text = SLOTH.replace("sum(rate(http", "sum by (tenant, region) (rate(http")
        objective = imported(text)[0]["availability"]
        assert objective.group_by == ("tenant", "region")
        assert objective.indicator.total == 'http_requests_total{job="shop"}'

    def test_groups_that_differ_are_noted(self):
        text = SLOTH.replace("total_query: sum(rate(http", "total_query: sum by (tenant) (rate(http")
        objectives, notes = imported(text)
        assert objectives["availability"].group_by == ("tenant",)
        assert any("group by nothing and by tenant" in note for note in notes)

    def test_a_product_of_rates_is_no_count_and_says_so(self):
        first = 'sum(rate(http_requests_total{job="shop",code'
        text = SLOTH.replace(first, f"2 * {first}")
        objectives, notes = imported(text)
        assert "rate(" in objectives["availability"].indicator.bad
        assert any("minimum_bad_events means less" in note for note in notes)


class TestAlerting:
    def test_both_alerts_are_the_usual_tiers(self):
        assert imported(SLOTH)[0]["availability"].alerting.tiers == SRE_WORKBOOK_TIERS

    def test_a_disabled_one_takes_its_tiers_with_it(self):
        assert {tier.severity for tier in imported(SLOTH)[0]["latency"].alerting.tiers} == {"page"}
        assert not imported(SLOTH)[0]["satisfaction"].alerting.enabled

    def test_a_tier_that_could_never_fire_is_left_out_with_a_note(self):
        objectives, notes = imported(SLOTH.replace("objective: 95", "objective: 90"))
        assert [tier.name for tier in objectives["satisfied-guests"].alerting.tiers] == ["medium", "slow", "trickle"]
        assert any("tier fast is left out" in note for note in notes)


def test_what_is_lost_is_noted_with_its_path():
    notes = imported(SLOTH)[1]
    assert "slos[0].alerting.name: alerts are named after their objective here" in notes
    assert any(note.startswith("slos[0].alerting.page_alert.labels: labels by severity") for note in notes)


def test_labels_reach_the_spec_and_its_objectives():
    (spec,) = specs_of(SLOTH)
    assert (spec.team, spec.labels) == ("checkout", {"cluster": "north"})
    assert spec.objectives[0].labels == {"category": "availability"}


def test_the_kubernetes_object_is_the_same():
    content = yaml.safe_load(SLOTH)
    for slo in content["slos"]:
        kinds = slo["sli"]
        for kind, keys in (("events", ("error_query", "total_query")), ("raw", ("error_ratio_query",))):
            for key in keys if kind in kinds else ():
                words = key.split("_")
                kinds[kind][words[0] + "".join(word.capitalize() for word in words[1:])] = kinds[kind].pop(key)
        for severity in ("page", "ticket"):
            if f"{severity}_alert" in slo["alerting"]:
                slo["alerting"][f"{severity}Alert"] = slo["alerting"].pop(f"{severity}_alert")
    content.pop("version")
    about = {"apiVersion": "sloth.slok.dev/v1", "kind": "PrometheusServiceLevel", "metadata": {"name": "x"}}
    wrapped = about | {"spec": content}
    assert specs_of(yaml.safe_dump(wrapped, sort_keys=False)) == specs_of(SLOTH)


def test_documents_of_one_service_are_one_spec():
    other = SLOTH.replace("name: ", "name: more-")
    (spec,) = specs_of(f"{SLOTH}---\n{other}")
    assert len(spec.objectives) == 8


def test_labels_of_a_second_document_of_a_service_move_to_its_objectives():
    other = SLOTH.replace("name: ", "name: more-").replace("cluster: north", "cluster: south, tuned: yes")
    (spec,) = specs_of(f"{SLOTH}---\n{other}")
    assert spec.labels == {"cluster": "north"}
    assert dict(spec.objectives[0].labels) == {"category": "availability"}
    assert dict(spec.objectives[5].labels) == {"cluster": "south", "tuned": "true"}


def test_a_service_has_the_team_that_any_of_its_documents_names_and_no_second_one():
    nobody, other = SLOTH.replace("team: checkout, ", ""), SLOTH.replace("team: checkout", "team: till")
    texts = (nobody, SLOTH.replace("name: ", "name: more-"), other.replace("name: ", "name: most-"))
    found = import_text("---\n".join(texts), "file.yaml")
    assert [spec.team for spec in parse_specs(found.text, "x")] == ["checkout"]
    assert [note.sentence for note in found.notes if "team" in note.sentence and note.path == "service shop"] == [
        "has two teams; till is left out"
    ]


def test_services_of_one_file_stand_side_by_side_and_no_probe_watches_them():
    found = import_text(f"{SLOTH}---\n{SLOTH.replace('service: shop', 'service: till')}", "file.yaml")
    assert [(spec.service, spec.probe) for spec in parse_specs(found.text, "x")] == [("shop", False), ("till", False)]
    assert sum("drop probe: false" in note.sentence for note in found.notes) == 2


def test_a_key_that_nobody_reads_is_noted_with_its_path_and_no_other():
    text = SLOTH.replace("    objective: 95\n", "    objective: 95\n    interval: {all: 5m}\n", 1)
    unread = [note for note in imported(text)[1] if "is not read" in note]
    assert unread == ["slos[2].interval: is not read; left out"]


class TestKubernetes:
    @pytest.mark.parametrize("kind", ["PrometheusServiceLevel", "ManagedPrometheusServiceLevel"])
    def test_its_objects_are_read_in_their_own_spelling(self, kind):
        assert specs_of(as_object(kind)) == specs_of(SLOTH)

    def test_what_is_missing_in_them_is_called_by_its_name_there(self):
        with pytest.raises(SpecError, match=r"spec\.slos\[0\]\.sli\.events\.errorQuery: missing"):
            import_text(as_object("PrometheusServiceLevel").replace("errorQuery", "wrongQuery", 1), "file.yaml")


def as_object(kind: str) -> str:
    spec = {key: value for key, value in yaml.safe_load(SLOTH).items() if key != "version"}
    text = yaml.safe_dump({"apiVersion": "sloth.slok.dev/v1", "kind": kind, "spec": spec}, sort_keys=False)
    for snake in ("error_query", "total_query", "error_ratio_query", "page_alert", "ticket_alert"):
        first, *rest = snake.split("_")
        text = text.replace(f"{snake}:", first + "".join(word.capitalize() for word in rest) + ":")
    return text


class TestQueries:
    def events(self, bad: str, total: str = "rate(x[{{.window}}])"):
        sli = {"events": {"error_query": bad, "total_query": total}}
        slo = {"name": "a", "objective": 99, "sli": sli, "alerting": {}}
        objectives, notes = imported(yaml.safe_dump({"version": "prometheus/v1", "service": "s", "slos": [slo]}))
        return objectives["a"], notes

    def test_rates_added_inside_a_sum_become_increases(self):
        objective, _ = self.events("sum(rate(x[{{.window}}]) + rate(y[{{.window}}]))")
        assert objective.indicator.bad == "sum(increase(x[$window]) + increase(y[$window]))"

    @pytest.mark.parametrize("query", ["rate(x[{{.window}}])", "sum without (pod) (rate(x[{{.window}}]))"])
    def test_series_that_are_added_up_here_and_not_there_are_noted(self, query):
        _, notes = self.events("sum(rate(x[{{.window}}]))", query)
        assert any("added up" in note for note in notes)

    def test_a_group_by_a_quoted_label_is_refused(self):
        with pytest.raises(SpecError, match="a label in quotes cannot be kept apart"):
            self.events('sum by ("service.name") (rate(x[{{.window}}]))')

    def test_a_comment_is_left_out(self):
        objective, _ = self.events("sum(rate(x[{{.window}}])) # bad", "sum(rate(y[{{.window}}])) # all")
        assert (objective.indicator.bad, objective.indicator.total) == ("x", "y")

    def test_what_cannot_count_is_refused_where_it_stands(self):
        with pytest.raises(SpecError, match=r"file\.yaml: slos\[0\]\.sli\.events: .*selects no series"):
            self.events("sum(rate(x[{{.window}}]))", "vector(1)[{{.window}}]")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("objective: 99.9", "objective: 100"), "slos[0].objective: 100 is not between 0 and 100"),
        (("objective: 99.9", "objective: many"), "slos[0].objective: 'many' is no number"),
        (("{{.window}}", "{{.other}}"), "{{.other}} is a template of another program"),
        (("{{.window}}", "5m"), "without a window"),
        (("service: shop", "servce: shop"), "service: missing"),
        (("raw:", "plugin:"), "slos[3].sli: a plugin is a program of Sloth"),
        (("sum(rate(http", "sum(rate(http("), "never closed"),
        (("slos:", "slots:"), "slos: holds no SLO"),
        (("prometheus/v1", "prometheus/v9"), "version: version 'prometheus/v9' is of no format known here"),
    ],
)
def test_what_cannot_be_read_is_a_sentence_with_its_path(change, words):
    with pytest.raises(SpecError) as caught:
        import_text(SLOTH.replace(*change), "file.yaml")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "line 1, column 5: this is no YAML"),
        ("", "holds no SLO; write it into one file"),
        ("a: 1", "version: what says none is of no format known here"),
    ],
)
def test_what_is_no_document_at_all_is_a_sentence_too(text, words):
    with pytest.raises(SpecError) as caught:
        import_text(text, "file.yaml")
    assert f"file.yaml: {words}" in str(caught.value)
