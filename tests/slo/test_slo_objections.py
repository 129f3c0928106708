"""What could not work on the Prometheus that is there, or would count something else, is said before it runs."""

from __future__ import annotations

import pytest
import yaml

from locant_alerts.rules import build_rules
from locant_slo.diagnose import diagnose
from locant_slo.errors import SpecError
from locant_slo.load import parse_spec

EVENTS = {"kind": "events", "bad": "b_total", "total": "x_total"}
NATIVE = {"kind": "native_latency", "histogram": "h", "threshold": 1}
WEEKLY = {"name": "n", "start": "22:00", "lasts": "2h"}


def text(objective: dict[str, object] | None = None, **fields: object) -> str:
    first = {"name": "a", "indicator": "position_integrity", "target": 0.999} | (objective or {})
    content = {"version": "locant/v1", "service": "chat", "retention": "400d", "objectives": [first]}
    return yaml.safe_dump(content | fields)


def said(content: str) -> str:
    try:
        spec = parse_spec(content, "slo.yaml")
    except SpecError as error:
        return "\n".join(error.problems)
    return "\n".join(f"{item.path}: {item.sentence}" for item in diagnose(spec, "slo.yaml"))


def own(expression: str) -> dict[str, object]:
    return {"indicator": EVENTS | {"bad": expression}}


class TestVersions:
    @pytest.mark.parametrize(
        ("objective", "version", "sentence"),
        [
            ({}, "2.30", "prometheus: 2.30 is older than 2.33, the oldest that is supported"),
            ({}, "2.41", "prometheus: 2.41 does not know keep_firing_for (2.42 does), so alerts end as soon as"),
            ({"indicator": NATIVE}, "2.39", "indicator: native histograms need Prometheus 2.40; use kind latency"),
            ({"indicator": NATIVE}, "2.53", "start it with --enable-feature=native-histograms"),
            (
                own('{"b.total"}'),
                "2.53",
                "indicator.bad: names in quotes need Prometheus 3.0, and prometheus says 2.53",
            ),
            (own("limitk(1, x[$window])"), "2.53", "Prometheus 2.53 does not know limitk; 3.5 does"),
            (own("limitk(1, x[$window])"), "3.1", "Prometheus 3.1 may not know limitk; 3.5 does"),
            (own("holt_winters(x[$window], 0.5, 0.5)"), "3.0", "is called double_exponential_smoothing since"),
        ],
    )
    def test_what_the_oldest_reader_lacks_is_said(self, objective, version, sentence):
        assert sentence in said(text(objective, prometheus=version))

    @pytest.mark.parametrize(
        ("objective", "version"),
        [
            ({}, "2.42"),
            ({"indicator": NATIVE}, "3.8"),
            (own('{"b.total"}'), "3.0"),
            (own("limitk(1, x[$window])"), "3.5"),
        ],
    )
    def test_what_it_knows_is_not(self, objective, version):
        assert said(text(objective, prometheus=version)) == ""

    def test_a_version_that_yaml_would_spoil_is_refused(self):
        assert "prometheus: 2.5 is a number and 2.50 would read as 2.5; put the version in quotes" in said(
            text(prometheus=2.50)
        )
        assert "prometheus: 'new' is no version; write two numbers, as in '2.53'" in said(text(prometheus="new"))

    def test_rules_for_an_older_one_leave_out_what_it_lacks(self):
        assert "keep_firing_for" in build_rules(parse_spec(text(prometheus="2.42"), "slo.yaml"))
        assert "keep_firing_for" not in build_rules(parse_spec(text(prometheus="2.41"), "slo.yaml"))

    def test_late_samples_are_waited_for_where_that_is_known(self):
        assert "query_offset: Prometheus 2.42 does not know it" in said(text(query_offset="1m"))
        spec = parse_spec(text(query_offset="1m", prometheus="2.53"), "slo.yaml")
        groups = yaml.safe_load(build_rules(spec))["groups"]
        assert {group["query_offset"] for group in groups} == {"1m"}


class TestLabels:
    @pytest.mark.parametrize(
        ("objective", "sentence"),
        [
            ({"group_by": ["slo"]}, "group_by[0]: the label slo is set by Locant or Prometheus and cannot tell groups"),
            ({"group_by": ["le"]}, "group_by[0]: the label le is set"),
            ({"group_by": ["a", "a"]}, "group_by[1]: a stands there twice; keep one"),
            ({"group_by": ["zone"], "labels": {"zone": "x"}}, "group_by[0]: zone also stands in labels"),
            ({"similar": ["shard"]}, "similar[0]: shard is no label of the group (model, model_version); add it"),
            ({"selector": {"job": "~a"}}, "selector.job: '~a' is no plain value"),
            ({"labels": {"similarity": "x"}}, "labels.similarity: the label similarity is set by Locant"),
        ],
    )
    def test_collisions_are_said_with_their_path(self, objective, sentence):
        assert f"objectives[0].{sentence}" in said(text(objective))


class TestTimes:
    @pytest.mark.parametrize(
        ("objective", "sentence"),
        [
            ({"window": "3d", "calendar": {"period": "week"}}, "objectives[0]: window and calendar exclude each other"),
            ({"calendar": {"period": "year"}}, "calendar.period: 'year' is not known; write 'week', 'month' or"),
            ({"calendar": {"period": "week", "time_zone": "X/Y"}}, "calendar.time_zone: 'X/Y' is no time zone"),
            (
                {"indicator": {"kind": "gauge", "value": "x", "above": 1, "slice": "2m"}},
                "indicator.slice: 2m is too rare: counts are kept in steps of 5m and need 4 slices each; make it 75s",
            ),
            (
                {"indicator": {"kind": "gauge", "value": "x", "above": 1, "slice": "10s"}},
                "indicator.slice: 10s is shorter than scrape_interval",
            ),
        ],
    )
    def test_of_an_objective(self, objective, sentence):
        assert sentence in said(text(objective))

    def test_a_quarter_is_longer_than_what_is_kept(self):
        found = said(text({"calendar": {"period": "quarter"}}, retention="90d"))
        assert "objectives[0].calendar: 93d is longer than Prometheus keeps data (90d)" in found

    @pytest.mark.parametrize(
        ("maintenance", "sentence"),
        [
            ([WEEKLY | {"start": 1350}], "maintenance[0].start: 1350 is no text; put it in quotes"),
            ([WEEKLY | {"start": "25:00"}], "maintenance[0].start: '25:00' is no time of day; write it as in '22:30'"),
            (
                [WEEKLY | {"lasts": "7d"}],
                "maintenance[0]: lasts a week or more, so it would never end; make it shorter",
            ),
            ([WEEKLY | {"lasts": "30h"}], "maintenance[0].lasts: 30h is longer than a day, so days overlap"),
            ([WEEKLY, WEEKLY], "maintenance[1].name: 'n' is the name of maintenance[0] too; rename one"),
            ([{"name": "n", "at": "2026-01-01T00:00:00", "lasts": "1h"}], "says no offset from UTC; write it as in"),
            ([{"name": "n", "condition": "1 > 0"}], "maintenance[0].condition: '1 > 0' selects no series"),
            ([7], "maintenance[0]: 7 stands where a mapping belongs"),
        ],
    )
    def test_of_a_stretch(self, maintenance, sentence):
        assert sentence in said(text(maintenance=maintenance))

    def test_a_release_that_quiets_every_group_is_doubted(self):
        objective = {"indicator": EVENTS, "group_by": ["tenant"]}
        assert "it has none of deploys.by (model)" in said(text(objective, deploys={"quiet": "10m"}))
