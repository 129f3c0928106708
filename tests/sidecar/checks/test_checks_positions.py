"""Offsets, bases, lengths and crafted numbers: what each check reports, and the look-alike it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from checks_facts import LEARNED, ROPE, alerts, checks, facts, judge_of, profile, row

from locant.observation import ABSENT, Limits
from locant_slo.findings import FailureMode, Severity

MASKED = {"masked": True, "mask_rank": 2}


def one(judge, *rows, **changes):
    return judge.judge(facts(*rows, **changes))


class TestOffsetChanged:
    def test_names_the_rows_the_numbers_and_the_runbook(self):
        judge = judge_of(runbook_url="https://runbooks.example/")
        one(judge, row(5), row(5))
        verdict = one(judge, row(1, 5), row(1, 5, start=8), number=2)
        [finding] = verdict.findings
        assert finding.failure_mode is FailureMode.STREAMING_STATE
        assert finding.severity is Severity.PAGE
        assert finding.evidence["shift"] == 3
        assert finding.evidence["runbook"] == "https://runbooks.example/streaming_state.md"
        assert "position 8 where 5 follows" in finding.message
        assert verdict.bad_rows == verdict.streaming_bad_rows == {1}
        assert verdict.anomalous_rows == frozenset()

    def test_one_counter_for_a_padded_batch_is_a_mixup_too(self):
        judge = judge_of()
        one(judge, row(9), row(4, left_pads=5), **MASKED)
        verdict = one(judge, row(1, 9), row(1, 4, start=9, cache_tokens=9), number=2, **MASKED)
        assert alerts(verdict) == {"offset_changed", "rows_mixed_up"}

    def test_rows_with_each_others_positions(self):
        judge = judge_of()
        one(judge, row(9), row(4, left_pads=5), **MASKED)
        verdict = one(judge, row(1, 9, start=4), row(1, 4, start=9, cache_tokens=9), number=2, **MASKED)
        assert "rows_mixed_up" in alerts(verdict)

    def test_a_restart_on_a_used_cache_is_the_cache(self):
        judge = judge_of()
        one(judge, row(9))
        verdict = one(judge, row(6, 9, start=0), number=2)
        assert alerts(verdict) == {"cache_not_reset"}

    def test_a_decoder_prompt_that_comes_back_is_the_cache_in_encoder_decoders_only(self):
        for kind, found in (("encoder_decoder", {"cache_not_reset"}), ("decoder", set())):
            judge = judge_of(replace(profile("relative_bias"), kind=kind))
            one(judge, row(4, first_token_hash=11))
            assert alerts(one(judge, row(4, 4, first_token_hash=11), number=2)) == found

    def test_draft_trees_are_left_alone(self):
        judge = judge_of()
        one(judge, row(10))
        tree = row(5, 10, last_position=12, max_position=12, last_offset=-2, jumps=2, repeats=2)
        assert not alerts(one(judge, tree, number=2, mask_rank=4))
        assert not alerts(one(judge, row(1, 12), number=3))

    def test_a_begin_token_that_is_the_pad_id_may_be_counted_or_not(self):
        for first in (row(5, 0, start=1, left_pads=1, unmasked_left_pads=1), row(6)):
            judge = judge_of(LEARNED)
            assert not alerts(one(judge, first))
            assert not alerts(one(judge, row(1, 6), number=2))

    def test_flattened_batches_whose_boundaries_the_kernel_knows_are_left_alone(self):
        judge = judge_of(LEARNED)
        flat = row(6, start=10, jumps=3, repeats=2, min_position=3, max_position=10, last_position=3, last_offset=-2)
        assert not checks(one(judge, flat, packed=True))
        assert not checks(one(judge, replace_all(flat, 7), number=2, packed=True))


def replace_all(base, position):
    return base._replace(first_position=position, min_position=position, max_position=position, last_position=position)


class TestAbsoluteBase:
    def test_padding_counted_as_tokens(self):
        verdict = one(judge_of(LEARNED), row(9), row(4, start=5, left_pads=5), cache_id=0, **MASKED)
        [finding] = verdict.findings
        assert (finding.check, finding.failure_mode) == ("absolute_base", FailureMode.BATCH_MIXUP)
        assert "position_ids made from the mask" in finding.message
        assert verdict.bad_rows == {1}

    def test_the_same_call_is_nothing_on_a_relative_family(self):
        assert not checks(one(judge_of(ROPE), row(9), row(4, start=5, left_pads=5), cache_id=0, **MASKED))

    def test_numbering_from_zero_where_the_family_starts_at_two(self):
        judge = judge_of(profile("learned", base=2))
        assert not checks(one(judge, row(4, start=2), cache_id=0))
        assert alerts(one(judge, row(4, start=0), number=2, cache_id=0)) == {"absolute_base"}

    def test_a_cache_that_cannot_be_seen_may_hold_the_beginning(self):
        hidden = {"cache_id": 0, "seen": ("positions", "mask")}
        assert not checks(one(judge_of(LEARNED), row(1, start=40), **hidden))


class TestNumbering:
    def test_frozen_positions(self):
        frozen = row(4, min_position=0, max_position=0, last_position=0, last_offset=-3, repeats=3, jumps=3)
        assert "positions_frozen" in alerts(one(judge_of(), frozen))
        assert not alerts(one(judge_of(), frozen, mask_rank=4))

    def test_rounded_positions(self):
        rounded = row(12, start=256, last_position=268, max_position=268, last_offset=257, repeats=5, jumps=11)
        verdict = one(judge_of(), rounded)
        assert alerts(verdict) == {"positions_rounded"}
        assert verdict.findings[0].failure_mode is FailureMode.PRECISION

    def test_numbering_by_groups_is_legal(self):
        grouped = row(12, last_position=5, max_position=5, last_offset=-6, repeats=6, jumps=6)
        assert not checks(one(judge_of(), grouped))

    def test_a_fresh_batch_numbered_for_each_others_padding(self):
        swapped = (
            row(9, start=0, repeats=5, jumps=5, last_position=3, max_position=3, last_offset=-5),
            row(4, start=5, left_pads=5),
        )
        assert alerts(one(judge_of(), *swapped, **MASKED)) == {"rows_mixed_up"}

    def still(self, real: int, behind: int, **changes):
        """A row whose first tokens share one position, so that it ends `behind`."""
        last = real - 1 - behind
        numbers = {"last_position": last, "max_position": last, "last_offset": -behind, "repeats": behind}
        return row(real, jumps=behind, **numbers, **changes)

    def test_a_left_padded_batch_numbered_by_one_of_its_rows(self):
        rows = (self.still(9, 5), row(4, start=0, left_pads=5), self.still(7, 3, left_pads=2))
        verdict = one(judge_of(), *rows, **MASKED)
        assert alerts(verdict) == {"rows_mixed_up"}
        assert verdict.bad_rows == {0, 2}
        assert not alerts(one(judge_of(), self.still(9, 4), row(4, start=0, left_pads=5), **MASKED))

    def test_a_right_padded_batch_numbered_for_padding_on_the_left(self):
        rows = (row(9), self.still(4, 3, right_pads=5), self.still(7, 2, right_pads=2))
        verdict = one(judge_of(), *rows, **MASKED)
        assert alerts(verdict) == {"positions_frozen", "rows_mixed_up"}
        assert verdict.bad_rows == {1, 2}
        assert not alerts(one(judge_of(), row(9), self.still(7, 3, right_pads=2), **MASKED))


class TestLength:
    def test_a_position_past_the_table(self):
        verdict = one(judge_of(LEARNED), row(513))
        assert alerts(verdict) == {"table_overflow"}
        assert verdict.anomalous_rows == {0}

    @pytest.mark.parametrize("error", ["IndexError", "ValueError", "AssertionError"])
    def test_a_call_that_failed_before_anything_was_seen_is_judged_by_what_was_planned(self, error):
        unseen = row(513, first_position=ABSENT, last_position=ABSENT, min_position=ABSENT, max_position=ABSENT)
        failed = {"error": error, "highest_planned_position": 512}
        verdict = one(judge_of(LEARNED), unseen, **failed)
        assert alerts(verdict) == {"table_overflow"}
        assert verdict.anomalous_rows == {0}
        assert not alerts(one(judge_of(LEARNED), unseen, highest_planned_position=512))

    def test_an_encoder_is_held_against_its_own_table(self):
        limits = {"table_rows": 34, "encoder": Limits("learned", 2, 130)}
        model = replace(profile("learned", base=2), kind="encoder_decoder", **limits)
        encode = {"phase": "encode", "cache_id": 0}
        assert not checks(one(judge_of(model), row(100, start=2), **encode))
        (finding,) = one(judge_of(model), row(129, start=2), **encode).findings
        assert "the encoder's positions end at 129" in finding.message
        unseen = row(129, first_position=ABSENT, last_position=ABSENT, min_position=ABSENT, max_position=ABSENT)
        failed = {"error": "IndexError", "highest_planned_position": 130, **encode}
        assert alerts(one(judge_of(model), unseen, **failed)) == {"table_overflow"}
        assert not alerts(one(judge_of(replace(model, encoder=None)), unseen, **failed))
        assert alerts(one(judge_of(model), row(33, start=2))) == {"table_overflow"}

    def test_a_table_that_grew_in_time_does_not_overflow(self):
        assert not alerts(one(judge_of(LEARNED), row(513), table_growths=((512, 1024),)))

    @pytest.mark.parametrize(("scheme", "severity"), [("rope", "ticket"), ("alibi", "info"), ("relative_bias", "info")])
    def test_beyond_the_trained_length(self, scheme, severity):
        [finding] = one(judge_of(profile(scheme)), row(600)).findings
        assert (finding.check, finding.severity.value) == ("beyond_trained_length", severity)

    def test_high_positions_with_few_tokens_alive_are_a_session(self):
        assert not checks(one(judge_of(), row(20, start=5_000)))

    def test_a_sliding_window_bounds_what_tokens_see(self):
        assert not checks(one(judge_of(profile("rope", window=8)), row(600)))

    def test_the_length_counts_where_positions_are_not_seen(self):
        unseen = row(600, first_position=ABSENT, last_position=ABSENT, min_position=ABSENT, max_position=ABSENT)
        assert alerts(one(judge_of(), unseen)) == {"beyond_trained_length"}

    def test_an_encoder_may_be_longer_than_its_decoder(self):
        both = replace(LEARNED, kind="encoder_decoder")
        assert not checks(one(judge_of(both), row(900), phase="encode", cache_id=0))


class TestCrafted:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"max_position": 2_000_000, "jumps": 3},
            {"min_position": -4},
            {"first_position": 2**24, "min_position": 2**24, "max_position": 2**24 + 3},
        ],
    )
    def test_numbers_that_no_honest_request_has(self, wrong):
        verdict = one(judge_of(profile("mrope")), row(4)._replace(**wrong))
        assert alerts(verdict) == {"crafted_positions"}
        assert verdict.anomalous_rows == {0}

    def test_an_image_spreads_positions_a_little(self):
        assert not checks(one(judge_of(profile("mrope")), row(20, max_position=60, jumps=9)))
