"""Each kind counts bad and all events as PromQL; what it cannot count is refused where it stands in the file."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_slo.counts import counts
from locant_slo.diagnose import diagnose
from locant_slo.errors import SpecError
from locant_slo.expression import selectors
from locant_slo.indicators.latency import escaped, spellings
from locant_slo.indicators.verdict import one_of
from locant_slo.load import parse_spec
from locant_slo.spec import Spec

EVENTS = {"kind": "events", "bad": 'x_total{code=~"5.."}', "total": "x_total"}


def made(indicator: Any, **fields: Any) -> Spec:
    service = {key: fields.pop(key) for key in ("selector", "prometheus") if key in fields}
    objective = {"name": "a", "indicator": indicator, "target": 0.99} | fields
    content = {"version": "locant/v1", "service": "chat", "retention": "400d", "objectives": [objective]}
    return parse_spec(yaml.safe_dump(content | service), "slo.yaml")


def counted(indicator: Any, window: int = 300, **fields: Any) -> tuple[str, str]:
    spec = made(indicator, **fields)
    return counts(spec, spec.objectives[0], window)


def error(indicator: Any, **fields: Any) -> str:
    with pytest.raises(SpecError) as caught:
        made(indicator, **fields)
    return "\n".join(caught.value.problems)


def warnings(indicator: Any, **fields: Any) -> list[str]:
    return [f"{item.path}: {item.sentence}" for item in diagnose(made(indicator, **fields), "slo.yaml")]


@pytest.mark.parametrize(
    ("indicator", "bad", "everything"),
    [
        (
            EVENTS,
            'sum (increase(x_total{code=~"5.."}[5m])) or 0 * sum (increase(x_total[5m]))',
            "sum (increase(x_total[5m]))",
        ),
        (
            {"kind": "events", "good": "g_total", "total": "x_total"},
            "clamp_min(sum (increase(x_total[5m])) - "
            "(sum (increase(g_total[5m])) or 0 * sum (increase(x_total[5m]))), 0)",
            "sum (increase(x_total[5m]))",
        ),
        (
            {"kind": "events", "good": "g_total", "bad": "b_total"},
            "sum (increase(b_total[5m])) or 0 * sum (increase(g_total[5m]))",
            "(sum (increase(g_total[5m])) or 0 * sum (increase(b_total[5m])))"
            " + (sum (increase(b_total[5m])) or 0 * sum (increase(g_total[5m])))",
        ),
        (
            {"kind": "events", "bad": "sum(increase(b_total[$window]))", "total": "increase(x_total[$window])"},
            "sum (sum(increase(b_total[5m]))) or 0 * sum (increase(x_total[5m]))",
            "sum (increase(x_total[5m]))",
        ),
        (
            {"kind": "ratio", "error_ratio": "rate(b[$window]) / rate(x[$window])", "weight": "x"},
            "clamp_max(max (rate(b[5m]) / rate(x[5m])) >= 0, 1) * on () (sum (increase(x[5m])))"
            " or 0 * sum (increase(x[5m]))",
            "sum (increase(x[5m]))",
        ),
        (
            {"kind": "ratio", "success_ratio": "rate(g[$window]) / rate(x[$window])"},
            "clamp_min(1 - (min (rate(g[5m]) / rate(x[5m])) >= 0), 0) * 5",
            "0 * clamp_min(1 - (min (rate(g[5m]) / rate(x[5m])) >= 0), 0) + 5",
        ),
        (
            {"kind": "latency", "histogram": 't_seconds{path="/"}', "le": 0.3},
            'clamp_min(sum (increase(t_seconds_count{path="/"}[5m])) - '
            'sum (increase(t_seconds_bucket{path="/", le="0.3"}[5m])), 0)',
            'sum (increase(t_seconds_count{path="/"}[5m])) and '
            'sum (increase(t_seconds_bucket{path="/", le="0.3"}[5m]))',
        ),
        (
            {"kind": "native_latency", "histogram": "t_seconds", "threshold": 0.3},
            "histogram_count(sum (increase(t_seconds[5m]))) * "
            "(1 - (histogram_fraction(-Inf, 0.3, sum (increase(t_seconds[5m]))) >= 0))"
            " or 0 * histogram_count(sum (increase(t_seconds[5m])))",
            "histogram_count(sum (increase(t_seconds[5m])))",
        ),
        (
            {"kind": "gauge", "value": "use_ratio", "at_most": 0.9},
            'sum_over_time(locant:sli_bad_slices:count{slo="a", service="chat"}[5m])',
            'sum_over_time(locant:sli_slices:count{slo="a", service="chat"}[5m])',
        ),
        (
            {"kind": "verdict", "counter": "v_total", "label": "verdict", "bad": ["a.b"], "ignore": ["none"]},
            'sum (increase(v_total{verdict=~"a[.]b"}[5m])) or 0 * sum (increase(v_total{verdict!~"none"}[5m]))',
            'sum (increase(v_total{verdict!~"none"}[5m]))',
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_every_kind_counts(indicator, bad, everything):
    assert counted(indicator) == (bad, everything)


def test_groups_and_selectors_stand_in_every_query():
    selector = {"job": "chat"}
    bad, everything = counted(EVENTS, group_by=["tenant", "model"], selector=selector)
    assert everything == 'sum by (tenant, model) (increase(x_total{job="chat"}[5m]))'
    assert all(found.matcher("job") for text in (bad, everything) for found in selectors(text))


def test_an_objectives_selector_goes_over_the_services():
    spec = made(EVENTS | {"bad": 'x_total{job="mine"}'}, selector={"job": "chat"})
    both = spec.model_copy(
        update={"objectives": (spec.objectives[0].model_copy(update={"selector": {"job": "gate", "zone": "a"}}),)}
    )
    bad, everything = counts(both, both.objectives[0], 300)
    assert 'x_total{job="gate", zone="a"}' in everything
    assert 'x_total{job="mine", zone="a"}' in bad


def test_long_windows_are_sums_of_recorded_counts_for_every_kind_that_reads_counters():
    long = 7 * 86_400
    assert "sum_over_time(locant:sli_bad_events:increase5m" in counted(EVENTS, long)[0]
    assert "sum_over_time(locant:sli_bad_slices:count" in counted({"kind": "gauge", "value": "x", "above": 1}, long)[0]


@pytest.mark.parametrize(
    ("bound", "texts"),
    [
        ("0.3", ("0.3",)),
        ("1", ("1", "1.0")),
        ("2.50", ("2.5",)),
        ("1000000", ("1000000", "1000000.0", "1e+06")),
        ("0.000025", ("0.000025", "2.5e-05")),
    ],
)
def test_a_bound_is_found_however_it_is_spelled(bound, texts):
    assert spellings(Decimal(bound)) == texts
    assert all(re.fullmatch("|".join(map(escaped, texts)), text) for text in texts)
    assert not re.fullmatch("|".join(map(escaped, texts)), texts[0].replace(".", "x") + "+")


@pytest.mark.filterwarnings("ignore:Possible nested set")  # Python's alone; RE2 has none
@settings(max_examples=50)
@given(st.lists(st.text(alphabet="ab.\\+*?()|[]{}^$", max_size=4), min_size=1, max_size=3), st.data())
def test_a_verdict_is_picked_by_its_own_value_and_by_no_other(values, data):
    pattern = one_of(tuple(values))
    assert pattern.startswith("~")
    other = data.draw(st.sampled_from(values) | st.text(alphabet="ab.\\+*?()|[]{}^$", max_size=4))
    assert (re.fullmatch(pattern[1:], other) is not None) == (other in values)


@pytest.mark.parametrize(
    ("indicator", "problem"),
    [
        ({"kind": "events", "bad": "x"}, "indicator: events needs two of good, bad and total, and has bad"),
        (
            {"kind": "events", "bad": "rate(x[5m])", "total": "x"},
            "indicator.bad: 'rate(x[5m])' is an expression without a window; write [$window] where the range belongs",
        ),
        ({"kind": "events", "bad": "x[$foo]", "total": "x"}, "indicator.bad: character 3: of '$' only $window is"),
        ({"kind": "events", "bad": "vector(1)", "total": "x"}, "indicator.bad: 'vector(1)' selects no series"),
        ({"kind": "events", "bda": "x", "total": "x"}, "indicator.bda: unknown field; did you mean bad?"),
        ({"kind": "ratio", "error_ratio": "x_total"}, "indicator.error_ratio: 'x_total' is a counter and no ratio"),
        ({"kind": "ratio"}, "indicator: ratio needs either error_ratio or success_ratio"),
        ({"kind": "latency", "histogram": "t_bucket", "le": 1}, "'t_bucket' is a part of a histogram; write t"),
        (
            {"kind": "latency", "histogram": "t", "le": 0.2, "buckets": [0.1, 0.25]},
            "indicator: le 0.2 is no bound of the histogram; the nearest is 0.25",
        ),
        ({"kind": "latency", "histogram": "a + b", "le": 1}, "indicator.histogram: 'a + b' is no selector"),
        ({"kind": "gauge", "value": "x"}, "gauge needs one of above, at_least, below, at_most, and has none"),
        ({"kind": "gauge", "value": "x[$window]", "above": 1}, "$window has no meaning in 'x[$window]'"),
        ({"kind": "verdict", "counter": "x", "label": "v", "bad": []}, "indicator.bad: the list needs at least 1"),
        (
            {"kind": "verdict", "counter": "x", "label": "v", "bad": ["a"], "good": ["a"]},
            "indicator: 'a' stands in two of bad, good and ignore; keep it in one",
        ),
        ({"kind": "verdict", "counter": '{v="a"}', "label": "v", "bad": ["a"]}, "names no metric; write the counter's"),
        (
            {"kind": "evens"},
            "indicator: a mapping names no kind of indicator; write the id of a built-in one, or kind:",
        ),
        (7, "indicator: 7 names no kind of indicator"),
    ],
)
def test_a_fault_is_a_sentence_at_its_field(indicator, problem):
    assert f"objectives[0].{problem}" in error(indicator) or problem in error(indicator)


class TestPopulations:
    def test_a_total_that_leaves_out_what_is_bad_is_doubted(self):
        (found,) = warnings(EVENTS | {"total": 'x_total{code!~"5.."}'})
        assert found.startswith('slo.yaml: objectives[0].indicator.bad: total counts only code!~"5.."')

    def test_a_total_that_is_narrower_is_doubted(self):
        (found,) = warnings(EVENTS | {"total": 'x_total{path="/v1"}'})
        assert "bad is not held to it; put the same matcher into both" in found

    @pytest.mark.parametrize("total", ["x_total", 'x_total{code!~"4.."}', 'x_total{code=~"5.."}'])
    def test_what_fits_is_not_doubted(self, total):
        assert warnings(EVENTS | {"total": total}) == []

    @pytest.mark.parametrize("field", ["error_ratio", "success_ratio"])
    def test_a_ratio_without_weight_is_doubted(self, field):
        (found,) = warnings({"kind": "ratio", field: "a[$window] / b[$window]"})
        assert found.startswith(f"slo.yaml: objectives[0].indicator.{field}: a ratio alone")
        assert "weighs quiet minutes like busy ones" in found


def test_a_verdict_counts_its_bad_ones_though_the_counter_names_the_label_itself():
    verdict = {"kind": "verdict", "counter": 'x_total{code!=""}', "label": "code", "bad": ["500"]}
    bad, everything = counted(verdict)
    assert bad == f'sum (increase(x_total{{code!="", code=~"500"}}[5m])) or 0 * {everything}'


def test_a_histogram_that_picks_its_buckets_itself_is_refused():
    assert "write it in the field le" in error({"kind": "latency", "histogram": 'x_seconds{le="5"}', "le": 1})


def test_a_histogram_with_a_quoted_name_has_quoted_parts():
    _, everything = counted({"kind": "latency", "histogram": '{"x.y", job="a"}', "le": 0.5}, prometheus="3.0")
    assert everything == (
        'sum (increase({"x.y_count", job="a"}[5m])) and sum (increase({"x.y_bucket", job="a", le="0.5"}[5m]))'
    )


@pytest.mark.parametrize("comment", [" # all of them", "\n# all of them\n"])
def test_a_comment_does_not_swallow_what_is_put_around_an_expression(comment):
    bad, everything = counted({"kind": "events", "bad": f"increase(b_total[$window]){comment}", "total": f"x{comment}"})
    assert bad == "sum (increase(b_total[5m])) or 0 * sum (increase(x[5m]))"
    assert everything == "sum (increase(x[5m]))"


@pytest.mark.parametrize(
    "indicator", [EVENTS, {"kind": "verdict", "counter": "x_total", "label": "code", "bad": ["500"]}]
)
def test_a_group_by_what_tells_bad_from_good_is_refused(indicator):
    assert "group_by[1]: code tells bad events from good ones" in error(indicator, group_by=["tenant", "code"])


def test_a_group_by_what_another_counter_is_picked_by_is_fine():
    made({"kind": "events", "bad": 'b_total{job="a"}', "total": "x_total"}, group_by=["job"])
