"""Suites are data, and a plan is what a suite means for a model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from locant.canary.plan import plan
from locant.canary.suite import LABEL_FREE, Identities, Questions, Suite, load_suite
from locant.demo.recipes import VOCABULARY
from locant.observation import ModelProfile
from locant_slo.errors import ConfigError, MachineError

PROFILE = ModelProfile(
    family="llama",
    scheme="rope",
    kind="decoder",
    absolute=False,
    base=0,
    trained_tokens=32,
    table_rows=None,
    pad_id=0,
    separator_id=None,
    token_types=0,
    window=None,
    causal=True,
    layers=2,
    heads=4,
    head_size=16,
    cache_bytes_per_token=1024,
    config_hash="0",
    parameters=1,
)
SUITE = Suite(
    name="s",
    vocabulary=VOCABULARY,
    questions=(Questions(tasks=("copy", "passkey"), lengths=(0.5, 1.0, 1.25), samples=2, rounds=3),),
)


def test_a_case_id_asks_the_same_in_every_run_and_rounds_ask_something_else():
    first, again, second = (plan(SUITE, PROFILE, number) for number in (0, 3, 1))
    assert first == again
    assert not {case.id for case in first.labelled} & {case.id for case in second.labelled}
    assert len({case.question for case in (*first.labelled, *second.labelled)}) == 24


def test_a_case_beyond_the_trained_length_names_its_twin_inside():
    cases = {case.id: case for case in plan(SUITE, PROFILE).labelled}
    beyond = [case for case in cases.values() if case.beyond_trained]
    assert {case.tokens for case in beyond} == {40}
    for case in beyond:
        assert cases[case.twin].task == case.task
        assert cases[case.twin].tokens == 32


def test_nothing_is_asked_beyond_a_position_table_and_the_reason_is_given():
    learned = replace(PROFILE, scheme="learned", absolute=True, table_rows=32)
    found = plan(SUITE, learned)
    assert not any(case.beyond_trained for case in found.labelled)
    assert found.skipped == ("beyond 32 tokens: the position table ends there, and reading past it is a crash",)


@pytest.mark.parametrize(
    ("change", "reason"), [({"kind": "encoder"}, "continues no prompt"), ({"trained_tokens": None}, "does not say")]
)
def test_a_model_that_cannot_be_asked_is_skipped_with_a_reason(change, reason):
    found = plan(SUITE, replace(PROFILE, **change))
    assert found.labelled == ()
    assert reason in found.skipped[0]


def test_identities_stay_inside_the_trained_length_and_below_the_bound_on_work():
    cases = plan(LABEL_FREE, replace(PROFILE, trained_tokens=131_072)).identities
    assert {case.tokens + case.amount * (case.task == "padding") for case in cases} == {256}
    shifts = [case for case in cases if case.task == "shift"]
    assert all(case.amount + case.tokens <= 131_072 for case in shifts)
    assert all(case.amount >= 1000 for case in shifts), "rotary angles in bfloat16 only show at large positions"
    assert len({case.id for case in cases}) == len(cases)


def test_a_suite_survives_yaml_and_its_checksum_tells_suites_apart(tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text(SUITE.model_dump_json())
    assert load_suite(file) == SUITE
    assert load_suite(file).checksum == SUITE.checksum
    assert SUITE.model_copy(update={"seed": 1}).checksum != SUITE.checksum


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\n", "neither questions nor identities"),
        ("name: a\nidentities: {checks: [streem]}\n", "identities.checks.0: Input should be"),
        ("name: a\nquestions: [{tasks: [copy]}]\n", "no token for the task 'copy'"),
        ("name: a\nidentities: {longest: 3}\n", "identities.longest: Extra inputs"),
        ("{", "is no YAML"),
        ("- 1\n", "valid dictionary"),
    ],
)
def test_a_wrong_suite_is_one_sentence_with_the_path(tmp_path, text, words):
    file = tmp_path / "suite.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_suite(file)
    assert str(file) in str(caught.value)


def test_a_missing_suite_is_the_machines_fault(tmp_path):
    with pytest.raises(MachineError, match="cannot be read"):
        load_suite(tmp_path / "none.yaml")


def test_letters_that_overlap_markers_are_refused():
    with pytest.raises(ValueError, match="both a letter and a marker"):
        VOCABULARY.model_validate({**VOCABULARY.model_dump(), "letters": (2, 12)})
    assert Suite(name="s", identities=Identities()).vocabulary is None
