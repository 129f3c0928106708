"""The key rule: the position that the newest cached key carries, plus one, is the first position of the call."""

from __future__ import annotations

import pytest
from checks_facts import alerts, facts, judge_of, profile, row

from locant.observation import ABSENT, KeyFacts
from locant_slo.findings import FailureMode

PROMPT = facts(row(8))


def keys(position, written=None):
    return KeyFacts((position,), (position if written is None else written,))


def judged(call, model=None):
    judge = judge_of(model) if model is not None else judge_of()
    judge.judge(PROMPT)
    return judge.judge(call)


def test_keys_that_lead_up_to_the_call_are_in_step():
    assert not alerts(judged(facts(row(1, 8), number=2, keys=keys(7))))


def test_evicted_tokens_and_positions_counted_anew_are_reported_although_the_offset_is_kept():
    verdict = judged(facts(row(1, 5), number=2, keys=keys(7)))
    (finding,) = verdict.findings
    assert (finding.check, finding.failure_mode, finding.severity.value) == (
        "keys_out_of_step",
        FailureMode.STREAMING_STATE,
        "page",
    )
    assert "at position 5 behind a cached key that still stands at 7" in finding.message
    assert finding.evidence["shift"] == -3
    assert verdict.streaming_bad_rows == {0}


def test_keys_turned_along_with_the_positions_are_in_step():
    assert not alerts(judged(facts(row(1, 5), number=2, keys=keys(4, 7))))
    assert not alerts(judged(facts(row(1, 8, start=5), number=2, keys=keys(4, 7))))


def test_without_the_turn_the_same_positions_are_a_changed_offset():
    assert alerts(judged(facts(row(1, 8, start=5), number=2, keys=keys(7)))) == {"offset_changed"}


def test_keys_turned_by_another_amount_are_reported_with_the_right_one():
    (finding,) = judged(facts(row(1, 5), number=2, keys=keys(6, 7))).findings
    assert "turned to 6 (-1)" in finding.message
    assert "Turn them by -3." in finding.message


def test_keys_turned_to_no_position_are_reported():
    (finding,) = judged(facts(row(1, 5), number=2, keys=keys(ABSENT, 7))).findings
    assert "by no whole number of positions" in finding.message
    assert finding.evidence["key_position"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"keys": KeyFacts((ABSENT,), (ABSENT,))},
        {"keys": keys(7), "packed": True},
        {"keys": keys(7), "mask_rank": 4},
        {"keys": KeyFacts((), ())},
    ],
    ids=["nothing told", "packed", "a mask of its own", "no rows"],
)
def test_what_cannot_be_told_is_left_alone(changes):
    assert not alerts(judged(facts(row(1, 5), number=2, **changes)))


def test_a_new_request_behind_a_masked_past_is_left_alone():
    assert not alerts(judged(facts(row(3, 0, start=0, cache_tokens=8), number=2, keys=keys(7), masked=True)))


def test_images_are_judged_from_text_to_text_only():
    image = row(4, 8, start=8, last_position=8, max_position=9, jumps=3, repeats=3)
    model = profile("mrope")
    assert not alerts(judged(facts(image, number=2, keys=keys(3)), model))
    assert alerts(judged(facts(row(1, 4), number=2, keys=keys(7)), model)) == {"keys_out_of_step"}


class TestRowsBehindEachOthersKeys:
    """Rows 0 to 2 were left at 7, 4 and 6; then the cache lost row 1, and the masks lost row 2."""

    def judged(self, *positions):
        judge = judge_of()
        judge.judge(facts(row(8), row(5, left_pads=3), row(7, left_pads=1), masked=True))
        calls = row(1, 8), row(1, 5, cache_tokens=8)
        return judge.judge(facts(*calls, number=2, masked=True, keys=KeyFacts(positions, positions)))

    def test_a_key_that_another_row_was_left_with_is_a_mixup(self):
        (finding,) = self.judged(7, 6).findings
        assert (finding.check, finding.failure_mode) == ("rows_mixed_up", FailureMode.BATCH_MIXUP)
        assert (finding.evidence["found"], finding.evidence["expected"]) == ([5], [7])

    def test_a_key_of_its_own_is_none(self):
        assert alerts(self.judged(7, 4)) == set()
