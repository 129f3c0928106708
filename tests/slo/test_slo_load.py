"""A spec is read whole or refused with every problem at once, each with path, value and cure."""

from __future__ import annotations

import textwrap
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_slo.errors import LocantError, MachineError, SpecError
from locant_slo.load import LARGEST_FILE_BYTES, MOST_PROBLEMS, load_specs, parse_spec, parse_specs

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
version: locant/v1
service: chat
objectives:
  - {name: integrity, indicator: position_integrity, target: 0.999}
"""

CHAT = GOOD + "selector: {job: chat}\n"
SEARCH = CHAT.replace("chat", "search")


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        parse_specs(textwrap.dedent(text), "slo.yaml")
    return caught.value.problems


def with_objective(**fields: object) -> str:
    objective = {"name": "a", "indicator": "position_integrity", "target": 0.999} | fields
    return yaml.safe_dump({"version": "locant/v1", "service": "chat", "objectives": [objective]})


def test_a_good_spec_is_read_exactly():
    spec = parse_spec(GOOD, "slo.yaml")
    assert spec.objectives[0].target == Decimal("0.999")
    assert spec.objectives[0].window == 30 * 86_400


def test_the_example_holds():
    (spec,) = load_specs(ROOT / "examples" / "slo.yaml")
    assert len(spec.objectives) == 13


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"target": 1.2}, "objectives[0].target: 1.2 is not between 0 and 1; write 99 % as 0.99"),
        ({"target": 99}, "objectives[0].target: 99 is not between 0 and 1; write 99 % as 0.99"),
        ({"target": "99%"}, "objectives[0].target: '99%' is no number; write a share such as 0.99"),
        ({"target": float("nan")}, "objectives[0].target: 'nan' is no finite number; write a share such as 0.99"),
        ({"name": "My SLO"}, "objectives[0].name: 'My SLO' is no name; use lower-case letters, digits and hyphens"),
        ({"window": "a month"}, "objectives[0].window: 'a month' is no duration; write a number and a unit"),
        ({"window": -5}, "objectives[0].window: -5 is not above 0"),
        ({"window": 1.5}, "objectives[0].window: 1.5 is no whole number"),
        ({"windw": "3d"}, "objectives[0].windw: unknown field; did you mean window?"),
        ({"qqq": 1}, "objectives[0].qqq: unknown field; known are name, indicator, target, window"),
        ({"indicator": "padding_atention"}, "'padding_atention' is no indicator; did you mean padding_attention?"),
        ({"indicator": "zzz"}, "'zzz' is no indicator; choose one of entropy_stability"),
        ({"labels": {"a-b": "x"}}, "objectives[0].labels.a-b: 'a-b' is no label name; use letters, digits and under"),
        ({"labels": {"a": 3}}, "objectives[0].labels.a: 3 is no text; put it in quotes"),
        ({"labels": [1]}, "objectives[0].labels: a list stands where labels belong"),
        ({"alerting": {"enabled": "perhaps"}}, "objectives[0].alerting.enabled: 'perhaps' is neither true nor false"),
        ({"alerting": {"minimum_bad_events": 0}}, "objectives[0].alerting.minimum_bad_events: 0 is below 1"),
        (
            {"alerting": {"no_data": {"action": "shout"}}},
            "objectives[0].alerting.no_data.action: 'shout' is not known; write 'alert' or 'ignore'",
        ),
        (
            {"alerting": {"tiers": [{"name": "fast", "severity": "page", "budget": 0.02, "lon": "1h", "short": "5m"}]}},
            "objectives[0].alerting.tiers[0].lon: unknown field; did you mean long?",
        ),
    ],
)
def test_a_fault_is_a_sentence_with_path_value_and_cure(fields, problem):
    assert any(problem in found for found in problems(with_objective(**fields)))


def test_every_problem_is_told_at_once():
    found = problems(
        """
        version: locant/v2
        service: chat
        tema: x
        objectives:
          - {name: a, indicator: position_integrity}
          - {name: b, indicator: nonsense, target: 2}
          - 7
        """
    )
    paths = [problem.split(": ")[0] for problem in found]
    assert paths == [
        "version",
        "objectives[0].target",
        "objectives[1].indicator",
        "objectives[1].target",
        "objectives[2]",
        "tema",
    ]


def test_the_message_begins_with_the_file():
    with pytest.raises(SpecError, match=r"^teams/slo\.yaml: objectives\[0\]\.target: 1\.2 is not"):
        parse_specs(with_objective(target=1.2), "teams/slo.yaml")


class TestYaml:
    def test_a_syntax_error_names_its_line(self):
        assert problems("version: locant/v1\nservice: [a\n")[0].startswith("line 3, column 1: this is no YAML")

    def test_a_duplicate_key_names_both_lines(self):
        text = GOOD + "service: other\n"
        assert problems(text) == ("line 6: 'service' stands here and in line 3; keep one of them",)

    def test_tags_of_other_types_are_refused(self):
        assert "could not determine a constructor" in problems("service: !!python/object/apply:os.getcwd []\n")[0]

    @pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n---\n"])
    def test_an_empty_file_says_where_to_start(self, text):
        assert problems(text) == ("the file is empty; start from examples/slo.yaml",)

    def test_deep_nesting_is_refused(self):
        assert "nested too deeply" in problems("[" * 100_000)[0]

    def test_an_alias_bomb_is_refused(self):
        lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
        for this, last in zip("bcdefgh", "abcdefg", strict=True):
            lines.append(f"{this}: &{this} [{', '.join([f'*{last}'] * 10)}]")
        assert "aliases stand for more than" in problems("\n".join(lines))[0]

    def test_an_alias_to_itself_is_refused(self):
        assert "aliases stand for more than" in problems("a: &x\n  b: *x\n")[0]

    def test_a_control_character_is_one_line(self):
        assert "\n" not in problems("a: \x00")[0]

    def test_a_file_of_another_kind_is_not_printed_back(self):
        found = problems("\n".join(f"key{n}: value" for n in range(5_000)))
        assert len(found) == MOST_PROBLEMS + 1
        assert found[-1].startswith("and ")


class TestSeveral:
    def test_documents_are_several_specs(self):
        two = parse_specs(CHAT + "---" + SEARCH, "slo.yaml")
        assert [spec.service for spec in two] == ["chat", "search"]

    @pytest.mark.parametrize("other", [GOOD.replace("chat", "search"), SEARCH.replace("job", "pod")])
    def test_services_that_would_count_each_other_are_refused(self, other):
        (found,) = problems(CHAT + "---" + other)
        assert found.startswith("selector: 'chat' and 'search' would count each other's models; give each its own")

    def test_problems_name_their_document(self):
        found = problems(GOOD + "---\nversion: locant/v1\n")
        assert all(problem.startswith("document 2: ") for problem in found)

    def test_one_service_stands_in_one_document(self):
        assert problems(GOOD + "---" + GOOD) == (
            "service: 'chat' stands in two documents; put its objectives into one",
        )

    def test_a_single_spec_is_asked_for_and_two_are_there(self):
        with pytest.raises(SpecError, match="2 documents stand where one belongs"):
            parse_spec(CHAT + "---" + SEARCH, "slo.yaml")

    def test_a_folder_is_read_in_order_and_its_problems_name_their_file(self, tmp_path):
        (tmp_path / "b.yaml").write_text(GOOD.replace("0.999", "7"))
        (tmp_path / "a.yml").write_text(GOOD.replace("position_integrity", "nonsense"))
        (tmp_path / "notes.txt").write_text("no spec")
        with pytest.raises(SpecError) as caught:
            load_specs(tmp_path)
        assert [problem.split(":")[0] for problem in caught.value.problems] == ["a.yml", "b.yaml"]

    def test_a_service_in_two_files_is_refused(self, tmp_path):
        for name in ("a.yaml", "b.yaml"):
            (tmp_path / name).write_text(GOOD)
        with pytest.raises(SpecError, match="'chat' stands in two documents"):
            load_specs(tmp_path)


class TestFiles:
    def test_a_missing_file_says_so(self, tmp_path):
        with pytest.raises(MachineError, match=r"nope\.yaml: no such file; name it with -f"):
            load_specs(tmp_path / "nope.yaml")

    def test_an_empty_folder_says_so(self, tmp_path):
        with pytest.raises(MachineError, match=r"the folder holds no \.yaml file"):
            load_specs(tmp_path)

    def test_a_huge_file_is_not_read(self, tmp_path):
        path = tmp_path / "slo.yaml"
        path.write_bytes(b"#" * (LARGEST_FILE_BYTES + 1))
        with pytest.raises(SpecError, match="split it into several files"):
            load_specs(path)

    def test_other_encodings_are_refused(self, tmp_path):
        path = tmp_path / "slo.yaml"
        path.write_bytes(b"service: \xff\xfe")
        with pytest.raises(SpecError, match="byte 9 is not UTF-8"):
            load_specs(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["version", "service", "labels", "objectives", "routing", "health", "selector", "retention"])


def said_about(text: str) -> list[str]:
    try:
        parse_specs(text, "slo.yaml")
    except LocantError as error:
        return str(error).splitlines()
    return []


@settings(max_examples=50)
@given(st.dictionaries(FIELDS, VALUES, max_size=4), VALUES)
def test_whatever_is_written_there_is_a_spec_or_a_sentence(fields, inside):
    document = yaml.safe_load(GOOD) | fields
    for content in (document, document | {"objectives": [inside]}):
        lines = said_about(yaml.safe_dump(content))
        assert all(line.startswith("slo.yaml: ") for line in lines)


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_whatever_text_it_is_nothing_else_is_raised(text):
    with pytest.raises(SpecError):
        parse_specs(text, "slo.yaml")


def test_services_without_a_probe_stand_side_by_side_and_count_nothing_of_ours():
    own = "{name: a, target: 0.99, indicator: {kind: events, bad: b_total, total: x_total}}"
    head = "version: locant/v1\nprobe: false\nobjectives: ["
    specs = parse_specs(f"{head}{own}]\nservice: one\n---\n{head}{own}]\nservice: two\n", "slo.yaml")
    assert [spec.service for spec in specs] == ["one", "two"]
    with pytest.raises(SpecError, match=r"objectives\[0\].indicator: position_integrity is counted by Locant's agent"):
        parse_specs(f"{head}{{name: a, target: 0.99, indicator: position_integrity}}]\nservice: one\n", "slo.yaml")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("runbook_url: ftp://x", "runbook_url: 'ftp://x' is no web address"),
        ("routing: {page: 'http://'}", "routing.page: 'http://' is no web address"),
        ("routing: {ticket: 'http://[::1'}", "routing.ticket: 'http://[::1' is no web address"),
        ("routing: {ticket: 'http://a b'}", "routing.ticket: 'http://a b' is no web address"),
        (f"retention: {'9' * 5_000}w", f"retention: '{'9' * 40}' is no duration"),
        ("retention: 99999999999w", "retention: '99999999999w' is longer than ten years; write 3650d or less"),
        ("retention: 99999999999", "retention: 99999999999 is above 315360000"),
        ("team: front-", "team: 'front-' is no name"),
    ],
)
def test_what_no_program_behind_would_take_is_refused(line, words):
    text = f"version: locant/v1\nservice: a\n{line}\nobjectives: [{{name: a, target: 0.99, indicator: length_drift}}]\n"
    with pytest.raises(SpecError) as caught:
        parse_specs(text, "slo.yaml")
    assert words in str(caught.value)
