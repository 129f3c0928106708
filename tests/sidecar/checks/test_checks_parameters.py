"""Parameters, rotary values, tables, errors and streams; and what the judge makes of rows and releases."""

from __future__ import annotations

import pathlib
import re
from itertools import pairwise

import pytest
from checks_facts import ROPE, alerts, checks, facts, judge_of, profile, row

from locant.observation import Detached, Deviation, ModelAttached, RotaryFacts, StreamFacts
from locant.sidecar.checks import CHECKS, KNOWN_CHECKS, PASS_CHECKS
from locant.sidecar.judge import Judge
from locant_slo.findings import FailureMode

PAGES = pathlib.Path(__file__).resolve().parents[3] / "docs" / "checks"


def rotary(model=ROPE, **values):
    facts_of_pass = facts(row(9), rotary=RotaryFacts(values.pop("dtype", "float32"), **values))
    return judge_of(model).judge(facts_of_pass)


class TestRotary:
    @pytest.mark.parametrize(
        ("error", "dtype", "position", "found"),
        [
            (2e-4, "float32", 3_000, False),
            (6e-3, "bfloat16", 100, False),
            (2e-2, "float32", 100_000, False),
            (5e-2, "bfloat16", 100, True),
            (1.9, "bfloat16", 3_000, True),
            (5e-3, "float32", 500, True),
        ],
    )
    def test_output_against_float64(self, error, dtype, position, found):
        verdict = rotary(output_error=error, dtype=dtype, largest_position=position)
        assert alerts(verdict) == ({"rotary_output"} if found else set())
        assert verdict.bad_rows == (frozenset({0}) if found else frozenset())

    def test_ties_are_collisions_on_rope_and_ties_on_alibi(self):
        assert alerts(rotary(tie_ratio=1.0)) == {"rotary_collisions"}
        assert alerts(rotary(profile("alibi"), tie_ratio=0.3, dtype="bfloat16")) == {"alibi_ties"}
        assert not checks(rotary(tie_ratio=0.0))

    def test_a_factor_applied_twice(self):
        assert alerts(rotary(norm_error=0.2)) == {"attention_factor"}
        assert not checks(rotary(norm_error=0.004, dtype="bfloat16"))

    def test_slopes(self):
        assert alerts(rotary(profile("alibi"), slope_error=0.3)) == {"slopes"}
        assert not checks(rotary(profile("alibi"), slope_error=0.004, dtype="bfloat16"))

    def test_frequencies_that_switch_under_a_cache(self):
        judge = judge_of()
        judge.judge(facts(row(9), rotary=RotaryFacts("float32", parameters_hash=1)))
        judge.judge(facts(row(1, 9), number=2))
        switched = facts(row(1, 10), number=3, rotary=RotaryFacts("float32", parameters_hash=2))
        assert alerts(judge.judge(switched)) == {"parameters_switched_with_cache"}
        again = facts(row(12), number=4, cache_id=8, rotary=RotaryFacts("float32", parameters_hash=2))
        assert not checks(judge.judge(again))


class TestAttached:
    @pytest.mark.parametrize(
        ("what", "error", "check", "mode"),
        [
            ("dtype", 4e-3, "parameter_cast", FailureMode.PRECISION),
            ("inv_freq", 0.5, "parameters_wrong", FailureMode.WRONG_PARAMETERS),
            ("inv_freq", 1.0, "parameters_uninitialised", FailureMode.WRONG_PARAMETERS),
            ("zero_rows", 0.5, "parameters_uninitialised", FailureMode.WRONG_PARAMETERS),
            ("table", float("inf"), "parameters_uninitialised", FailureMode.WRONG_PARAMETERS),
            ("attention_factor", 0.2, "attention_factor", FailureMode.WRONG_PARAMETERS),
            ("slopes", 0.3, "slopes", FailureMode.WRONG_PARAMETERS),
        ],
    )
    def test_what_the_audit_finds(self, what, error, check, mode):
        attached = ModelAttached(1, 5.0, "m", "2", ROPE, (Deviation("rotary", what, error, "1", "0"),))
        [finding] = Judge().judge(attached).findings
        assert (finding.check, finding.failure_mode, finding.model_version) == (check, mode, "2")
        assert finding.first_seen == finding.last_seen == 5.0

    def test_every_row_of_a_broken_model_is_bad_until_it_is_repaired(self):
        judge = Judge()
        judge.judge(ModelAttached(1, 0.0, "m", "1", ROPE, (Deviation("rotary", "inv_freq", 0.5, "1", "0"),)))
        assert judge.judge(facts(row(4), row(4))).bad_rows == {0, 1}
        judge.judge(ModelAttached(1, 1.0, "m", "1", ROPE))
        assert not judge.judge(facts(row(4), row(4), number=2, cache_id=8)).bad_rows

    def test_a_few_empty_rows_of_a_table_inform(self):
        attached = ModelAttached(1, 0.0, "m", "1", ROPE, (Deviation("wpe", "zero_rows", 0.1, "512 rows", "51 empty"),))
        assert not alerts(Judge().judge(attached))

    def test_strangers_and_the_departed_are_passed_over(self):
        judge = Judge()
        assert judge.judge(facts(row(4))).findings == ()
        judge.judge(ModelAttached(1, 0.0, "m", "1", ROPE))
        judge.judge(facts(row(4)))
        judge.judge(Detached(1, 1.0))
        assert judge.live_rows == 0
        assert judge.judge(facts(row(1, 4, start=9), number=2)).findings == ()


class TestTables:
    def grow(self, sizes):
        judge = judge_of()
        found = set()
        for number, (before, after) in enumerate(pairwise(sizes), 1):
            found |= alerts(
                judge.judge(facts(row(3), number=number, cache_id=number, table_growths=((before, after),)))
            )
        return found

    def test_row_by_row_is_reported_and_doubling_is_not(self):
        assert self.grow(range(20, 30)) == {"table_regrown"}
        assert self.grow([2**n for n in range(14)]) == set()

    def test_a_table_that_follows_a_few_longer_prompts_is_left_alone(self):
        assert self.grow([0, 6, 9, 15, 40, 41, 60]) == set()


def test_errors_and_streams_inform():
    judge = judge_of()
    verdict = judge.judge(facts(row(4), error="OutOfMemoryError"))
    assert checks(verdict) == {"model_raised"}
    assert not alerts(verdict)
    assert checks(judge.judge(StreamFacts(1, 1.0, chunks=4, errors=1, error="TimeoutError"))) == {"stream_broken"}
    assert not checks(judge.judge(StreamFacts(1, 1.0, chunks=4, errors=0)))


def test_every_check_has_a_page_and_every_page_a_check():
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == set(CHECKS)


@pytest.mark.parametrize("check", CHECKS)
def test_a_page_says_what_a_check_cannot_see(check):
    text = (PAGES / f"{check}.md").read_text()
    headings = ("What it sees", "Formula", "Threshold", "Legal traffic that looks alike", "What it cannot see")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[:5] == list(headings)
    modes = {mode.word for mode, _, known in KNOWN_CHECKS if known == check}
    assert all(mode in text for mode in modes)


def test_checks_are_pure():
    from locant.sidecar.checks import Pass
    from locant.sidecar.ledger import Move

    seen = Pass(ROPE, facts(row(5, start=-3)), (None,), (Move.NEW,))
    for check in PASS_CHECKS:
        assert list(check(seen)) == list(check(seen))
