"""Padding, packing, segments and geometry: leaks are reported, look-alikes are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from checks_facts import ENCODER, ROPE, alerts, checks, facts, judge_of, profile, row

from locant.observation import AttentionFacts
from locant_slo.findings import FailureMode

MASKED = {"masked": True, "mask_rank": 2}


def one(model, *rows, **changes):
    return judge_of(model).judge(facts(*rows, **changes))


def left(pads: int, real: int = 6, **changes):
    return row(real, start=pads, left_pads=pads, unmasked_left_pads=pads, **changes)


def right(pads: int, real: int = 6, **changes):
    return row(real, right_pads=pads, unmasked_right_pads=pads, **changes)


def attention(number: int = 1, **changes):
    zero = (0.0,)
    values = {
        "model_id": 1,
        "time": 1.0,
        "pass_number": number,
        "layer": 0,
        "rows": 8,
        "padded_rows": 8,
        "padding_mass": zero,
        "padding_mass_largest": 0.0,
        **dict.fromkeys(("entropy", "distance", "first_token_mass", "future_mass"), zero),
        **dict.fromkeys(("self_mass", "recency_mass", "largest_weight"), zero),
    }
    return AttentionFacts(**(values | changes))


class TestUnmasked:
    def test_a_missing_mask_on_a_left_padded_batch(self):
        verdict = one(ROPE, row(11), left(5))
        assert alerts(verdict) == {"pads_unmasked"}
        assert verdict.bad_rows == {1}
        assert verdict.findings[0].failure_mode is FailureMode.PADDING_LEAKAGE

    def test_a_mask_of_ones_is_no_mask(self):
        assert alerts(one(ROPE, row(11), row(11, unmasked_left_pads=5), **MASKED)) == {"pads_unmasked"}

    def test_right_padding_leaks_in_encoders_only(self):
        assert alerts(one(ENCODER, row(11), right(5), phase="encode", cache_id=0)) == {"pads_unmasked"}
        assert not checks(one(ROPE, row(11), right(5)))

    def test_right_padding_leaks_once_later_tokens_find_it_in_the_cache(self):
        judge = judge_of(ROPE)
        judge.judge(facts(row(11), right(5)))
        assert alerts(judge.judge(facts(row(1, 11), row(1, 11), number=2))) == {"pads_unmasked"}

    def test_and_not_when_the_cache_was_cropped_or_the_mask_covers_it(self):
        judge = judge_of(ROPE)
        judge.judge(facts(row(11), right(5)))
        covered = (row(1, 11), row(1, 6, cache_tokens=11))
        assert not checks(judge.judge(facts(*covered, number=2, **MASKED)))

    @pytest.mark.parametrize("rows", [(left(1), left(1, 8)), (row(9), left(2)), (left(2),)])
    def test_begin_tokens_that_equal_the_pad_id_are_text(self, rows):
        assert not alerts(one(profile("alibi"), *rows))

    def test_positions_that_start_behind_the_run_say_that_it_is_padding(self):
        knowing = row(6, start=0, left_pads=2, unmasked_left_pads=2)
        assert alerts(one(ROPE, knowing)) == {"pads_unmasked"}

    def test_a_batch_of_one_needs_a_long_run(self):
        assert not checks(one(ROPE, left(5)))
        assert alerts(one(ROPE, left(8))) == {"pads_unmasked"}

    def test_finished_and_dummy_rows_hold_nothing_else(self):
        assert not checks(one(ROPE, row(6), row(6, unmasked_left_pads=6), **MASKED))

    def test_attention_that_sees_no_padding_clears_it(self):
        assert not checks(one(ROPE, row(11), left(5, pads_visible=0)))


class TestMasks:
    def test_dropped_after_the_prompt(self):
        judge = judge_of(ROPE)
        judge.judge(facts(row(9), row(4, left_pads=5), **MASKED))
        verdict = judge.judge(facts(row(1, 9), row(1, 9, start=4), number=2))
        assert "mask_dropped" in alerts(verdict)
        assert verdict.bad_rows == {1}

    def test_ones_after_the_prompt(self):
        judge = judge_of(ROPE)
        judge.judge(facts(row(9), row(4, left_pads=5), **MASKED))
        assert "mask_dropped" in alerts(judge.judge(facts(row(1, 9), row(1, 9, start=4), number=2, **MASKED)))

    def test_dropped_where_positions_are_absolute_is_one_finding_unless_they_are_wrong_too(self):
        for start, found in ((4, {"mask_dropped"}), (6, {"mask_dropped", "offset_changed"})):
            judge = judge_of(profile("learned"))
            judge.judge(facts(row(9), row(4, start=0, left_pads=5), **MASKED))
            for step in range(3):
                call = facts(row(1, 9 + step), row(1, 9 + step, start=start + step), number=2 + step)
                assert alerts(judge.judge(call)) == found

    def test_left_out_because_nothing_was_padded(self):
        judge = judge_of(ROPE)
        judge.judge(facts(row(9), row(9), **MASKED))
        assert not checks(judge.judge(facts(row(1, 9), row(1, 9), number=2)))

    def test_left_out_when_the_padding_has_left_the_window(self):
        judge = judge_of(profile("rope", window=4))
        judge.judge(facts(row(9), row(4, left_pads=5), **MASKED))
        assert not checks(judge.judge(facts(row(1, 9), row(1, 9, start=4), number=2)))

    def test_upside_down(self):
        inverted = row(5, right_pads=6, unmasked_left_pads=5)
        assert "mask_inverted" in alerts(one(ENCODER, inverted, phase="encode", **MASKED))

    def test_upside_down_in_one_row_of_a_batch(self):
        rows = (row(6, left_pads=5), row(5, right_pads=6, unmasked_left_pads=5), row(11))
        (finding,) = one(ROPE, *rows, **MASKED).findings
        assert (finding.check, finding.evidence["rows"]) == ("mask_inverted", [1])

    def test_holes_inform(self):
        verdict = one(ROPE, row(6, mask_holes=2), **MASKED)
        assert checks(verdict) == {"mask_holes"}
        assert not alerts(verdict)
        assert not verdict.bad_rows


class TestAttention:
    @pytest.mark.parametrize("early", [True, False])
    def test_mass_on_masked_padding_in_either_order(self, early):
        judge = judge_of(ROPE)
        facts_of_pass, mass = facts(row(6, left_pads=5), **MASKED), attention(padding_mass_largest=0.2)
        order = (mass, facts_of_pass) if early else (facts_of_pass, mass)
        found = set().union(*(alerts(judge.judge(observation)) for observation in order))
        assert found == {"pads_attended"}

    def test_a_layer_or_a_head_that_computes_no_number_hides_no_other(self):
        judge = judge_of(ROPE)
        for layer, mass in enumerate((float("nan"), 0.2, float("nan"))):
            judge.judge(attention(layer=layer, padding_mass_largest=mass))
        (hit,) = judge.judge(facts(row(6, left_pads=5), **MASKED)).findings
        assert (hit.check, hit.evidence["layers"]) == ("pads_attended", [1])
        judge.judge(facts(row(9, resets=1, cross_visible=0), number=2, **MASKED))
        assert alerts(judge.judge(attention(2, cross_mass=(float("nan"), 4.0)))) == {"packed_not_isolated"}

    def test_mass_on_what_may_be_text_is_nothing(self):
        judge = judge_of(ROPE)
        judge.judge(facts(left(1)))
        assert not checks(judge.judge(attention(padding_mass_largest=0.2)))

    def test_pads_visible_through_a_mask(self):
        assert alerts(one(ROPE, row(6, left_pads=5, pads_visible=5), **MASKED)) == {"pads_attended"}

    def test_mass_across_a_reset(self):
        judge = judge_of(ROPE)
        judge.judge(facts(row(9, resets=1, cross_visible=0), **MASKED))
        assert alerts(judge.judge(attention(cross_mass=(4.0,)))) == {"packed_not_isolated"}
        assert not checks(judge.judge(attention(cross_mass=(0.0,))))


class TestPacking:
    def test_declared_requests_that_run_on(self):
        assert alerts(one(ROPE, row(20, boundary_misses=2), declared=True)) == {"packed_not_reset"}

    def test_kept_apart_by_a_block_mask_they_do_no_harm_on_a_relative_family(self):
        packed = row(20, boundary_misses=2)
        assert checks(one(ROPE, packed, declared=True, mask_rank=4)) == {"packed_not_reset"}
        assert not alerts(one(ROPE, packed, declared=True, mask_rank=4))
        assert alerts(one(profile("learned"), packed, declared=True, mask_rank=4)) == {"packed_not_reset"}

    def test_a_row_that_begins_mid_request_may_fall_back_to_zero(self):
        middle = row(20, start=37, min_position=0, last_position=9, resets=1, boundary_misses=1, last_offset=-10)
        assert not alerts(one(ROPE, middle, declared=True))

    def test_attention_across_a_reset(self):
        leaking = row(20, resets=1, last_position=9, last_offset=-10, cross_visible=10)
        assert alerts(one(ROPE, leaking, **MASKED)) == {"packed_not_isolated"}
        assert not alerts(one(ROPE, leaking, mask_rank=4))
        assert alerts(one(ROPE, leaking, mask_rank=4, declared=True)) == {"packed_not_isolated"}


class TestSegmentsAndGeometry:
    def test_a_pair_without_segments(self):
        bert = replace(ENCODER, token_types=2)
        pair = row(12, separators=2, segments_seen=1)
        assert alerts(one(bert, pair, phase="encode", cache_id=0)) == {"segments_missing"}
        assert not checks(one(bert, pair._replace(segments_seen=2), phase="encode", cache_id=0))
        assert not checks(one(ENCODER, pair, phase="encode", cache_id=0))

    @pytest.mark.parametrize("check", ["window_excess", "window_deficit", "future_visible", "self_blind"])
    def test_one_key_is_enough(self, check):
        windowed = profile("rope", window=8)
        clean = dict.fromkeys(("window_excess", "window_deficit", "future_visible", "self_blind"), 0)
        assert not checks(one(windowed, row(20, **clean)))
        verdict = one(windowed, row(20, **(clean | {check: 1})))
        assert alerts(verdict) == {check}
        assert verdict.findings[0].failure_mode is FailureMode.ATTENTION_GEOMETRY

    def test_a_sparse_mask_of_the_callers_own_making_is_left_alone(self):
        assert not checks(one(ROPE, row(20, window_deficit=4), mask_rank=4))
