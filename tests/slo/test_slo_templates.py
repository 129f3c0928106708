"""Defaults and templates are ways of writing: what they stand for is what one could have written out."""

from __future__ import annotations

import textwrap

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_slo.errors import SpecError
from locant_slo.load import load_specs, parse_spec, parse_specs
from locant_slo.templates import written_out

HEAD = "version: locant/v1\nservice: chat\nretention: 40d\n"


def spec(text: str):
    return parse_spec(HEAD + textwrap.dedent(text), "slo.yaml")


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        spec(text)
    return caught.value.problems


def test_a_template_is_what_one_could_have_written_out():
    short = spec(
        """
        defaults: {target: 0.99, labels: {owner: ann}}
        objectives:
          - name: right-${model}
            for_each: {model: [gpt2, meta/Llama-3]}
            selector: {model: "${model}"}
            indicator: position_integrity
            labels: {kind: x}
        """
    )
    long = spec(
        """
        objectives:
          - {name: right-gpt2, selector: {model: gpt2}, indicator: position_integrity, target: 0.99,
             labels: {owner: ann, kind: x}}
          - {name: right-meta-llama-3, selector: {model: meta/Llama-3}, indicator: position_integrity, target: 0.99,
             labels: {owner: ann, kind: x}}
        """
    )
    assert short.model_dump() == long.model_dump()


def test_a_value_may_change_fields_and_several_variables_are_combined():
    made = spec(
        """
        objectives:
          - name: ${model}-${zone}
            for_each: {model: {a: {target: 0.95}, b: }, zone: [x, y]}
            indicator: {kind: events, bad: 'b_total{m="${model}", z="${zone}"}', total: 't_total'}
            target: 0.99
        """
    )
    assert [(item.name, str(item.target)) for item in made.objectives] == [
        ("a-x", "0.95"),
        ("a-y", "0.95"),
        ("b-x", "0.99"),
        ("b-y", "0.99"),
    ]
    assert made.objectives[3].indicator.bad == 'b_total{m="b", z="y"}'


def test_an_objective_goes_over_the_defaults_field_by_field():
    made = spec(
        """
        defaults:
          window: 28d
          alerting: {keep_firing_for: 10m, no_data: {action: ignore}}
        objectives:
          - {name: a, indicator: position_integrity, target: 0.99, alerting: {no_data: {after: 1h}}}
          - {name: b, indicator: position_integrity, target: 0.99, calendar: {period: month}}
        """
    )
    first, second = made.objectives
    assert (first.window, first.alerting.keep_firing_for) == (28 * 86_400, 600)
    assert (first.alerting.no_data.action, first.alerting.no_data.after) == ("ignore", 3_600)
    assert second.calendar is not None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "objectives: [{name: 'a-${m}', for_each: {n: [x]}, indicator: position_integrity, target: 0.9}]",
            "objectives[0].for_each: ${m} has no values; add m: [...]",
        ),
        (
            "objectives: [{name: a, for_each: {n: x}, indicator: position_integrity, target: 0.9}]",
            "objectives[0].for_each.n: 'x' is no list of texts; write it as in [gpt2, llama]",
        ),
        (
            "objectives: [{name: a, for_each: [x], indicator: position_integrity, target: 0.9}]",
            "objectives[0].for_each: a list stands where variables belong; write it as in model: [gpt2, llama]",
        ),
        (
            "defaults: {targt: 0.9}\nobjectives: [{name: a, indicator: position_integrity, target: 0.9}]",
            "defaults.targt: an objective has no such default; known are target, window",
        ),
        (
            "objectives: [{name: 'a-${m}', for_each: {m: [x, y]}, indicator: position_integrity, target: 9}]",
            "objectives[0] (m=y).target: 9 is not between 0 and 1; write 99 % as 0.99",
        ),
        (
            "objectives: [{name: a, for_each: {m: [x, y]}, indicator: position_integrity, target: 0.9}]",
            "objectives[0] (m=y).name: 'a' names the same alerts as 'a'; give each objective its own name",
        ),
    ],
)
def test_a_fault_is_told_where_the_file_has_it(text, problem):
    assert any(found.startswith(problem) for found in problems(text))


def test_a_template_that_explodes_is_refused():
    many = [f"v{n}" for n in range(100)]
    text = yaml.safe_dump(
        {
            "objectives": [
                {
                    "name": "a-${x}-${y}",
                    "for_each": {"x": many, "y": many},
                    "indicator": "position_integrity",
                    "target": 0.9,
                }
            ]
        }
    )
    assert "objectives: for_each makes 10000 of them; 5000 is the limit" in problems(text)


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["objectives", "defaults", "for_each", "a"]), inner, max_size=3)
        ),
    )
)
def test_whatever_is_written_there_nothing_is_raised(content):
    for document in (content, {"objectives": [content], "defaults": content}, {"objectives": [{"for_each": content}]}):
        written_out(document)


def test_services_stand_in_several_documents_and_files(tmp_path):
    text = HEAD + "selector: {job: JOB}\nobjectives: [{name: a, indicator: position_integrity, target: 0.99}]\n"
    two = text.replace("JOB", "a") + "---\n" + text.replace("JOB", "b").replace("chat", "search")
    assert [item.service for item in parse_specs(two, "slo.yaml")] == ["chat", "search"]
    (tmp_path / "a.yaml").write_text(two)
    (tmp_path / "b.yaml").write_text(text.replace("JOB", "c").replace("chat", "rank"))
    assert [item.service for item in load_specs(tmp_path)] == ["chat", "search", "rank"]
