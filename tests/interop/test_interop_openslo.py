"""OpenSLO v1 becomes ours: references resolved, methods kept, and every doubt of the standard's own examples noted."""

from __future__ import annotations

import pytest
from interop_support import RATIO, documents, imported, slo, source, specs_of

from locant_slo.errors import SpecError
from locant_slo.interop.importing import import_text

LAG = {"thresholdMetric": source("sum(min_over_time(queue_lag[2m]))")}
ALERTS = (
    {
        "kind": "AlertCondition",
        "name": "burning",
        "spec": {
            "severity": "page",
            "condition": {"kind": "burnrate", "threshold": 14.4, "lookbackWindow": "1h", "alertAfter": "5m"},
        },
    },
    {
        "kind": "AlertPolicy",
        "name": "policy",
        "spec": {
            "alertWhenBreaching": True,
            "conditions": [{"conditionRef": "burning"}],
            "notificationTargets": [{"targetRef": "mail"}],
        },
    },
    {"kind": "AlertNotificationTarget", "name": "mail", "spec": {"target": "email"}},
)


def only(*content):
    objectives, notes = imported(documents(*content))
    (objective,) = objectives.values()
    return objective, notes


class TestIndicators:
    def test_counters_are_counted_by_their_increase(self):
        indicator = only(slo(RATIO))[0].indicator
        assert (indicator.good, indicator.total) == ('http_requests_total{code=~"2.."}', "http_requests_total")

    def test_bad_events_and_references_to_indicator_and_source(self):
        bad = {"metricSource": {"metricSourceRef": "prom", "spec": {"query": "failed_total"}}}
        ratio = {"ratioMetric": {"counter": True, "bad": bad, "total": source("sum by (shop) (all_total)")}}
        referring = slo({})
        referring["spec"] = {**referring["spec"], "indicator": None, "indicatorRef": "rate-of-failures"}
        objective, _ = only(
            referring,
            {"kind": "SLI", "name": "rate-of-failures", "spec": ratio},
            {"kind": "DataSource", "name": "prom", "spec": {"type": "prometheus", "connectionDetails": {"url": "x"}}},
        )
        assert (objective.indicator.bad, objective.indicator.total) == ("failed_total", "all_total")
        assert objective.group_by == ("shop",)

    def test_a_fixed_range_becomes_the_window_of_each_alert_and_says_so(self):
        ratio = {"ratioMetric": {"counter": True, "good": source("sum(rate(a_total[5m]))"), "total": source("b_total")}}
        objective, notes = only(slo(ratio))
        assert objective.indicator.good == "a_total"
        assert any("its range of 5m became the window" in note for note in notes)

    def test_numbers_that_are_no_counters_are_summed_over_looks(self):
        ratio = {"ratioMetric": {"counter": False, "bad": source("slow_now"), "total": source("users_now")}}
        objective, notes = only(slo(ratio))
        assert objective.indicator.bad == "sum_over_time((slow_now)[$window:1m])"
        assert any("once a minute" in note for note in notes)

    @pytest.mark.parametrize(("kind", "field"), [("success", "success_ratio"), ("failure", "error_ratio")])
    def test_a_raw_ratio_is_a_ratio(self, kind, field):
        query = "sum(sum_over_time(a[{{.window}}])) / sum(count_over_time(a[{{.window}}]))"
        objective, _ = only(slo({"ratioMetric": {"rawType": kind, "raw": source(query)}}))
        assert getattr(objective.indicator, field) == query.replace("{{.window}}", "$window")

    def test_a_success_that_is_written_as_an_error_is_doubted(self):
        query = "1 - (sum(sum_over_time(a[{{.window}}])) / sum(count_over_time(a[{{.window}}])))"
        _, notes = only(slo({"ratioMetric": {"rawType": "success", "raw": source(query)}}))
        assert any("begins with 1 -, as error ratios do" in note for note in notes)

    @pytest.mark.parametrize(
        ("operator", "field"), [("lt", "below"), ("lte", "at_most"), ("gt", "above"), ("gte", "at_least")]
    )
    def test_a_threshold_is_a_gauge_in_slices_of_a_minute(self, operator, field):
        objective, _ = only(slo(LAG, objectives=[{"op": operator, "value": 50, "target": 0.99}]))
        assert (objective.indicator.kind, objective.indicator.slice) == ("gauge", 60)
        assert getattr(objective.indicator, field) == 50


class TestMethods:
    def sliced(self, method, **objective):
        objectives = [{"target": 0.99, "timeSliceWindow": "5m"} | objective]
        return only(slo(RATIO, budgetingMethod=method, objectives=objectives))

    def test_time_slices_of_a_ratio_are_good_while_it_holds(self):
        indicator = self.sliced("Timeslices", timeSliceTarget=0.95)[0].indicator
        assert (indicator.kind, float(indicator.at_least), indicator.slice) == ("gauge", 0.95, 60)
        assert indicator.value.count("[5m]") == 3

    def test_a_slice_whose_good_events_have_no_series_is_bad_and_not_missing(self):
        value = self.sliced("Timeslices", timeSliceTarget=0.95)[0].indicator.value
        assert "or 0 * (sum (increase(http_requests_total[5m])))" in value

    def test_slices_of_numbers_that_are_no_counters_are_sums_of_looks(self):
        ratio = {"ratioMetric": {"counter": False, "bad": source("slow_now"), "total": source("users_now")}}
        objectives = [{"target": 0.99, "timeSliceTarget": 0.9, "timeSliceWindow": "5m"}]
        value = only(slo(ratio, budgetingMethod="Timeslices", objectives=objectives))[0].indicator.value
        assert "increase" not in value
        assert value.count("sum_over_time((slow_now)[5m:1m])") == 1

    def test_ratio_time_slices_are_the_mean_of_their_ratios(self):
        indicator = self.sliced("RatioTimeslices")[0].indicator
        assert indicator.kind == "ratio"
        assert indicator.success_ratio.endswith("[$window:5m])")

    def test_a_plain_number_is_minutes(self):
        objective, notes = self.sliced("Timeslices", timeSliceTarget=0.95, timeSliceWindow=10)
        assert objective.indicator.value.count("[10m]") == 3
        assert any("slices of 10m are judged every minute, overlapping" in note for note in notes)

    def test_slices_of_a_threshold_count_their_good_looks(self):
        objective = {"op": "lt", "value": 50, "target": 0.99, "timeSliceTarget": 0.9, "timeSliceWindow": "10m"}
        indicator = only(slo(LAG, budgetingMethod="Timeslices", objectives=[objective]))[0].indicator
        assert indicator.value == "avg_over_time(((sum(min_over_time(queue_lag[2m]))) < bool 50)[10m:1m])"
        assert (float(indicator.at_least), indicator.slice) == (0.9, 60)


class TestWindows:
    def windowed(self, **window):
        return only(slo(RATIO, timeWindow=[window]))

    @pytest.mark.parametrize(("text", "days"), [("4w", 28), ("1M", 30), ("1Q", 90), ("365d", 365)])
    def test_rolling_ones_are_rolling(self, text, days):
        objective, notes = self.windowed(duration=text, isRolling=True)
        assert objective.window == days * 86_400
        assert any("is taken for" in note for note in notes) == text.endswith(("M", "Q"))

    @pytest.mark.parametrize(
        ("text", "period"), [("1w", "week"), ("1M", "month"), ("1Q", "quarter"), ("3M", "quarter")]
    )
    def test_calendars_are_calendars(self, text, period):
        calendar = {"startTime": "2024-01-01 00:00:00", "timeZone": "America/New_York"}
        objective, _ = self.windowed(duration=text, calendar=calendar)
        assert (objective.calendar.period, objective.calendar.time_zone) == (period, "America/New_York")

    def test_the_minute_of_the_standards_own_example_is_a_month_and_noted(self):
        calendar = {"startTime": "2022-01-01 12:00:00", "timeZone": "America/New_York"}
        objective, notes = self.windowed(duration="1m", isRolling=False, calendar=calendar)
        assert objective.calendar.period == "month"
        assert any("1m is one minute by the standard" in note for note in notes)
        assert any("not at 2022-01-01 12:00:00" in note for note in notes)

    def test_another_calendar_rolls_and_says_so(self):
        objective, notes = self.windowed(duration="1Y", isRolling=False)
        assert objective.window == 365 * 86_400
        assert any("became a rolling window" in note for note in notes)

    def test_without_a_window_it_is_thirty_days(self):
        objective, notes = only(slo(RATIO, timeWindow=[]))
        assert objective.window == 30 * 86_400
        assert any("30 days, rolling, are taken" in note for note in notes)


class TestAlerting:
    def alerted(self, **condition):
        changed = {**ALERTS[0]["spec"], "condition": ALERTS[0]["spec"]["condition"] | condition}
        alerted = slo(RATIO, alertPolicies=[{"alertPolicyRef": "policy"}])
        return only(alerted, ALERTS[0] | {"spec": changed}, *ALERTS[1:])

    def test_a_burn_rate_is_a_tier_with_a_second_window(self):
        objective, notes = self.alerted()
        (tier,) = objective.alerting.tiers
        assert (tier.name, tier.severity, float(tier.budget)) == ("burning", "page", 0.02)
        assert (tier.long, tier.short, tier.hold) == (3_600, 300, 300)
        assert objective.labels == {"notification_target": "mail"}
        assert objective.alerting.no_data.action == "ignore"
        assert any("a second window of 5m is added" in note for note in notes)

    def test_an_alert_at_once_is_one_after_a_second(self):
        assert self.alerted(alertAfter="0m")[0].alerting.tiers[0].hold == 1

    def test_policies_stand_inline_by_reference_and_by_name(self):
        inline = {"kind": "AlertPolicy", "metadata": {"name": "p"}, "spec": ALERTS[1]["spec"]}
        found = [
            only(slo(RATIO, alertPolicies=[policy]), *ALERTS)[0].alerting
            for policy in ("policy", {"alertPolicyRef": "policy"}, inline)
        ]
        assert found[0] == found[1] == found[2]

    def test_no_data_is_told_where_the_policy_says_so(self):
        policy = ALERTS[1] | {"spec": ALERTS[1]["spec"] | {"alertWhenNoData": True}}
        objective, _ = only(slo(RATIO, alertPolicies=["policy"]), ALERTS[0], policy, ALERTS[2])
        assert objective.alerting.no_data.action == "alert"

    def test_an_operator_that_contradicts_its_description_is_doubted(self):
        _, notes = self.alerted(op="lte")
        assert any("exceeding is taken" in note for note in notes)

    @pytest.mark.parametrize(
        ("condition", "words"),
        [
            ({"threshold": 0.5}, "while the budget lasts"),
            ({"threshold": 200}, "it could never fire"),
            ({"threshold": 50, "lookbackWindow": "3d"}, "more than the whole budget"),
        ],
    )
    def test_a_condition_that_cannot_alert_rightly_is_left_out_with_a_note(self, condition, words):
        objective, notes = self.alerted(**condition)
        assert not objective.alerting.enabled
        assert any(words in note for note in notes)

    @pytest.mark.parametrize(
        ("word", "severity"), [("sev1", "page"), ("critical", "page"), ("low", "ticket"), ("blue", "ticket")]
    )
    def test_severities_are_read_and_noted(self, word, severity):
        condition = ALERTS[0] | {"spec": ALERTS[0]["spec"] | {"severity": word}}
        objective, notes = only(slo(RATIO, alertPolicies=["policy"]), condition, *ALERTS[1:])
        assert objective.alerting.tiers[0].severity == severity
        assert any(f"{word!r} is taken for {severity}" in note for note in notes)

    def test_without_a_policy_nobody_is_told(self):
        objective, notes = only(slo(RATIO))
        assert not objective.alerting.enabled
        assert any("nobody is told" in note for note in notes)


def test_each_objective_is_one_of_ours_and_named_apart():
    objectives, _ = imported(
        documents(slo(RATIO, objectives=[{"displayName": "Goal", "target": 0.99}, {"targetPercent": 99.9}]))
    )
    assert {name: str(one.target) for name, one in objectives.items()} == {"orders-goal": "0.99", "orders-2": "0.999"}


def test_a_service_gives_team_and_labels():
    labels = {"team": "a", "env": ["x", "y"]}
    (spec,) = specs_of(documents(slo(RATIO), {"kind": "Service", "name": "shop", "labels": labels, "spec": {}}))
    assert (spec.team, spec.labels) == ("a", {"env": "x,y"})


def test_a_list_in_one_document_is_read_like_documents():
    text = documents(slo(RATIO))
    listed = "- " + text.replace("\n", "\n  ").rstrip() + "\n"
    assert specs_of(listed) == specs_of(text)


def test_what_nobody_refers_to_is_noted():
    _, notes = only(slo(RATIO), *ALERTS)
    assert any("no SLO of this file uses this AlertPolicy" in note for note in notes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (slo(RATIO, indicator=None), "indicatorRef: names no SLI"),
        (slo(RATIO, indicator=None, indicatorRef="x"), "no SLI of this file is called 'x'; it has none"),
        (slo(RATIO, alertPolicies=["x"]), "no AlertPolicy of this file is called 'x'"),
        (slo(RATIO, objectives=[{"target": 0}]), "0 is not between 0 and 1"),
        (slo(RATIO, objectives=[{"target": 0.9, "targetPercent": 90}]), "needs either target or targetPercent"),
        (slo(RATIO, objectives=[]), "holds no objective"),
        (slo(RATIO, budgetingMethod="Guess"), "'Guess' is not known"),
        (slo(RATIO, timeWindow=[{"duration": "soon"}]), "'soon' is no duration"),
        (slo(RATIO, timeWindow=[{"duration": "0d"}]), "'0d' is no duration"),
        (slo({"ratioMetric": {"rawType": "success", "raw": source("1 - $share")}}), "of '$' only $window is known"),
        (slo(LAG), "op: 'nothing' is not known"),
        (slo(LAG, objectives=[{"op": "lt", "target": 0.9}]), "needs the value"),
        (slo({}), "has neither ratioMetric nor thresholdMetric"),
        (slo({"thresholdMetric": {"metricSource": {"type": "Datadog", "spec": {}}}}), "only Prometheus can be asked"),
        (
            slo({"thresholdMetric": {"metricSource": {"metricSourceRef": "x"}}}),
            "no DataSource of this file is called 'x'",
        ),
        ({"kind": "Sli", "name": "x", "spec": {}}, "'Sli' is no kind"),
        (
            slo({"ratioMetric": {"counter": True, "good": source("max(x)"), "total": source("y")}}),
            "is neither a counter nor",
        ),
    ],
)
def test_what_cannot_be_read_is_a_sentence_with_its_path(content, words):
    with pytest.raises(SpecError) as caught:
        import_text(documents(content), "file.yaml")
    assert words in str(caught.value)


def test_an_older_version_is_refused_by_name():
    with pytest.raises(SpecError, match="'openslo/v1alpha' is not read; write it as openslo/v1"):
        import_text(documents(slo(RATIO)).replace("openslo/v1", "openslo/v1alpha"), "file.yaml")


def test_what_is_not_read_is_noted_in_policies_given_by_name_too():
    dimensions = {
        "ratioMetric": {**RATIO["ratioMetric"], "total": source("sum(http_requests_total)", dimensions=["a"])}
    }
    _, notes = only(slo(dimensions, alertPolicies=["policy"]), *ALERTS)
    unread = [note for note in notes if "is not read" in note]
    assert len(unread) == 1
    assert unread[0].startswith("document 1.spec.indicator.spec.ratioMetric.total.metricSource.dimensions: ")
