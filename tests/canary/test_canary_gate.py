"""The gate says stop, go on or too little evidence, and never compares what cannot be compared."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.canary.gate import gate, gate_files
from locant.canary.report import FORMAT, save_results
from locant_slo.errors import ConfigError, MachineError


def results(right: list[bool], *, exact: bool = False, suite: str = "abc") -> dict:
    cases = {
        f"case {number}": {"right": value, "exact": exact, "beyond_trained": False, "detail": "3 nats apart"}
        for number, value in enumerate(right)
    }
    return {"format": FORMAT, "suite": "s", "suite_checksum": suite, "time": 0.0, "cases": cases}


def test_enough_agreeing_cases_pass():
    verdict = gate(results([True] * 100), results([True] * 100))
    assert verdict.outcome == "pass"
    assert verdict.regression_limit < 0.05


def test_few_agreeing_cases_are_undecided_and_never_a_pass():
    verdict = gate(results([True] * 20), results([True] * 20))
    assert verdict.outcome == "undecided"
    assert "ask more cases" in verdict.sentence


def test_many_newly_failing_cases_fail_with_their_odds():
    verdict = gate(results([True] * 30), results([True] * 20 + [False] * 10))
    assert verdict.outcome == "fail"
    assert len(verdict.newly_failing) == 10
    assert "to 1" in verdict.sentence


def test_one_broken_identity_fails_because_chance_has_no_part_in_it():
    verdict = gate(results([True] * 100, exact=True), results([True] * 99 + [False], exact=True))
    assert verdict.outcome == "fail"
    assert "case 99 is broken: 3 nats apart" in verdict.sentence


def test_a_few_identities_that_still_hold_pass_without_statistics():
    verdict = gate(results([True] * 9, exact=True), results([True] * 9, exact=True))
    assert verdict.outcome == "pass"
    assert "every identity that held still holds" in verdict.sentence


def test_what_was_wrong_before_is_no_regression():
    assert gate(results([False] * 100), results([False] * 100)).outcome == "pass"


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_the_verdict_only_worsens_when_a_right_answer_turns_wrong(pairs):
    rank = {"pass": 0, "undecided": 1, "fail": 2}
    before, after = [b for b, _ in pairs], [a for _, a in pairs]
    verdict = gate(results(before), results(after))
    for index, (was, now) in enumerate(pairs):
        if was and now:
            worse = gate(results(before), results([*after[:index], False, *after[index + 1 :]]))
            assert rank[worse.outcome] >= rank[verdict.outcome]


def test_different_suites_are_not_compared():
    with pytest.raises(ConfigError, match="different suites"):
        gate(results([True]), results([True], suite="other"))


def test_files_go_through_json_and_bad_ones_are_one_sentence(tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    save_results(results([True] * 100), good)
    assert gate_files(good, good).outcome == "pass"
    for text in ("{", "[]", '{"format": "locant.canary/1", "cases": {"a": 1}}'):
        bad.write_text(text)
        with pytest.raises(ConfigError, match="locant canary --save"):
            gate_files(good, bad)
    with pytest.raises(MachineError, match="cannot be read"):
        gate_files(good, tmp_path / "none.json")
