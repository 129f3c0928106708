"""The ledger follows requests without being told, forgets in time, and stays within its bounds."""

from __future__ import annotations

import tracemalloc

import pytest
from checks_facts import LEARNED, ROPE, alerts, facts, judge_of, profile, row
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import ModelAttached


def test_decoding_after_a_prompt_is_one_request():
    judge = judge_of()
    judge.judge(facts(row(5)))
    assert not alerts(judge.judge(facts(row(1, 5), number=2)))
    assert alerts(judge.judge(facts(row(1, 6, start=7), number=3))) == {"offset_changed"}


def test_a_session_may_start_anywhere_on_a_relative_family_and_nowhere_else_on_an_absolute_one():
    for model, found in ((ROPE, set()), (LEARNED, {"absolute_base"})):
        judge = judge_of(model)
        assert alerts(judge.judge(facts(row(5, start=300)))) == found


def test_what_moved_stays_reported_until_the_request_ends():
    judge = judge_of()
    judge.judge(facts(row(5)))
    for step in range(3):
        assert alerts(judge.judge(facts(row(1, 5 + step, start=6 + step), number=2 + step))) == {"offset_changed"}
    assert not alerts(judge.judge(facts(row(3), number=5)))


@pytest.mark.parametrize("mask", [{}, {"masked": True, "mask_rank": 2}])
def test_a_request_that_comes_back_to_its_positions_is_healthy_again(mask):
    judge = judge_of()
    judge.judge(facts(row(5, start=20), **mask))
    assert alerts(judge.judge(facts(row(3, 5, start=90), number=2, **mask))) == {"offset_changed"}
    assert not alerts(judge.judge(facts(row(1, 8, start=28), number=3, **mask)))


def test_beams_may_change_places():
    judge = judge_of()
    judge.judge(facts(row(5, start=0), row(5, start=100)))
    assert not alerts(judge.judge(facts(row(1, 5, start=105), row(1, 5, start=5), number=2)))
    assert not alerts(judge.judge(facts(row(1, 6, start=106), row(1, 6, start=106), number=3)))


def test_rows_of_a_batch_may_be_chosen_and_reordered_with_their_masks():
    masked = {"masked": True, "mask_rank": 2}
    judge = judge_of()
    judge.judge(facts(row(9), row(4, left_pads=5), row(6, left_pads=3), **masked))
    chosen = facts(row(1, 6, cache_tokens=9), row(1, 9), number=2, **masked)
    assert not alerts(judge.judge(chosen))
    swapped = facts(row(1, 10), row(1, 7, cache_tokens=10), number=3, **masked)
    assert not alerts(judge.judge(swapped))


@pytest.mark.parametrize("rows", [1, 4], ids=["chosen", "multiplied"])
def test_rows_with_masks_of_others_are_held_to_the_offset_that_all_had(rows):
    masked = {"masked": True, "mask_rank": 2}
    judge = judge_of()
    judge.judge(facts(row(9), row(4, left_pads=5), **masked))
    right = [row(1, 4, cache_tokens=9)] * (rows // 2) + [row(1, 9)] * (rows - rows // 2)
    wrong = [*right[:-1], row(1, 4, start=9, cache_tokens=9)]
    assert not alerts(judge.judge(facts(*right, number=2, cache_id=8, cache_parent=7, **masked)))
    assert alerts(judge.judge(facts(*wrong, number=3, cache_id=9, cache_parent=7, **masked))) == {"offset_changed"}


def test_a_row_that_joins_a_batch_may_have_an_offset_of_its_own():
    masked = {"masked": True, "mask_rank": 2}
    judge = judge_of()
    judge.judge(facts(row(9), row(4, left_pads=5), **masked))
    joined = facts(row(1, 9), row(1, 4, cache_tokens=9), row(1, 6, start=300, cache_tokens=9), number=2, **masked)
    assert not alerts(judge.judge(joined))


def test_a_mask_that_turns_to_ones_is_no_reordering():
    masked = {"masked": True, "mask_rank": 2}
    judge = judge_of()
    judge.judge(facts(row(9), row(4, start=5, left_pads=5), **masked))
    assert "mask_dropped" in alerts(judge.judge(facts(row(1, 9), row(1, 9), number=2, **masked)))


def test_a_copied_cache_carries_its_request_along():
    judge = judge_of()
    judge.judge(facts(row(6)))
    good = facts(row(3, 6), number=2, cache_id=8, cache_parent=7)
    bad = facts(row(3, 6, start=0), number=3, cache_id=9, cache_parent=7)
    assert not alerts(judge.judge(good))
    assert alerts(judge.judge(bad)) == {"cache_not_reset"}


def test_an_unknown_cache_with_tokens_is_a_beginning():
    judge = judge_of()
    assert not alerts(judge.judge(facts(row(3, 16, start=16))))
    assert not alerts(judge.judge(facts(row(3, 16, start=4000), number=2, cache_id=8)))


def test_going_back_with_the_cache_is_legal_and_without_it_is_not():
    judge = judge_of()
    judge.judge(facts(row(10)))
    judge.judge(facts(row(4, 10), number=2))
    assert not alerts(judge.judge(facts(row(4, 12), number=3)))
    assert alerts(judge.judge(facts(row(4, 16, start=14), number=4))) == {"offset_changed"}


def test_eviction_is_legal_and_a_rollback_that_forgets_positions_is_found_once_the_cache_outgrows_it():
    evicting = judge_of()
    rolling = judge_of()
    for judge in (evicting, rolling):
        judge.judge(facts(row(10)))
        judge.judge(facts(row(4, 10), number=2))
    for step in range(6):
        assert not alerts(evicting.judge(facts(row(1, 10, start=14 + step), number=3 + step)))
    assert not alerts(rolling.judge(facts(row(4, 12, start=14), number=3)))
    assert alerts(rolling.judge(facts(row(4, 16, start=18), number=4))) == {"offset_changed"}


def test_a_cache_that_evicts_now_and_then_may_grow_back_to_where_it_was_full_and_no_further():
    judge = judge_of()
    judge.judge(facts(row(10)))
    judge.judge(facts(row(4, 10), number=2))
    for step, held in enumerate((10, 11, 12, 10, 11, 12, 13, 14)):  # 14 were held when it first evicted
        assert not alerts(judge.judge(facts(row(1, held, start=14 + step), number=3 + step))), held
    assert alerts(judge.judge(facts(row(1, 15, start=22), number=11))) == {"offset_changed"}


def test_behind_lost_passes_nothing_is_held_against_a_request_but_where_it_was_found_again():
    for start, found in ((41, set()), (60, {"offset_changed"})):
        judge = judge_of()
        judge.judge(facts(row(10)))
        assert not alerts(judge.judge(facts(row(1, 12, start=40), number=5)))
        assert alerts(judge.judge(facts(row(1, 13, start=start), number=6))) == found


def test_a_fault_in_the_middle_of_a_long_decode_is_held_against_the_last_step_and_not_against_the_first():
    judge = judge_of()
    judge.judge(facts(row(5)))
    for step in range(6):
        assert not alerts(judge.judge(facts(row(1, 5 + step), number=2 + step)))
    assert alerts(judge.judge(facts(row(1, 11, start=50), number=8))) == {"offset_changed"}


@pytest.mark.parametrize(("rows", "found"), [(1, {"offset_changed"}), (2, set())])
def test_behind_a_mask_of_four_dimensions_a_lone_request_is_followed_and_ragged_slots_are_not(rows, found):
    masked = {"masked": True, "mask_rank": 4}
    judge = judge_of()
    judge.judge(facts(*[row(5)] * rows, **masked))
    assert alerts(judge.judge(facts(*[row(1, 5, start=9)] * rows, number=2, **masked))) == found


@pytest.mark.parametrize(("start", "moved"), [(5, False), (7, True)])
def test_a_cropped_cache_may_begin_anew_where_its_family_numbers_the_first_token_and_nowhere_else(start, moved):
    judge = judge_of(profile("learned", base=2))
    judge.judge(facts(row(10, start=2)))
    assert ("offset_changed" in alerts(judge.judge(facts(row(1, 3, start=start), number=2)))) is moved


def test_rows_that_all_come_from_one_prompt_are_held_against_it():
    judge = judge_of()
    judge.judge(facts(row(5)))
    assert not alerts(judge.judge(facts(row(1, 5), row(1, 5), number=2)))
    judge = judge_of()
    judge.judge(facts(row(5)))
    assert alerts(judge.judge(facts(row(1, 5, start=9), row(1, 5, start=9), number=2))) == {"offset_changed"}


def test_a_slot_with_a_masked_past_serves_a_new_request():
    judge = judge_of()
    judge.judge(facts(row(10, start=100), masked=True, mask_rank=2))
    fresh = row(3, 0, start=0, cache_tokens=10)
    assert not alerts(judge.judge(facts(fresh, number=2, masked=True, mask_rank=2)))
    assert not alerts(judge.judge(facts(row(1, 3, cache_tokens=13), number=3, masked=True, mask_rank=2)))


def test_ids_follow_a_request_into_another_cache():
    judge = judge_of()
    judge.judge(facts(row(5), request_ids=("a",)))
    assert not alerts(judge.judge(facts(row(1, 5), number=2, cache_id=9, request_ids=("a",))))
    moved = facts(row(1, 6, start=9), number=3, cache_id=11, request_ids=("a",))
    assert alerts(judge.judge(moved)) == {"offset_changed"}


def test_an_id_that_nobody_told_is_followed_by_its_cache_and_a_forgotten_models_ids_are_forgotten_alone():
    judge = judge_of()
    judge.judge(ModelAttached(2, 0.0, "other", "1", ROPE))
    judge.judge(facts(row(5)))
    assert alerts(judge.judge(facts(row(1, 5, start=9), number=2, request_ids=("a",)))) == {"offset_changed"}
    for model in 1, 2:
        judge.judge(facts(row(5), number=3, model_id=model, cache_id=20 + model, request_ids=("b",)))
    judge.forget(1)
    judge.judge(ModelAttached(1, 0.0, "model", "1", ROPE))
    after = {"number": 4, "cache_id": 30, "request_ids": ("b",)}
    assert not alerts(judge.judge(facts(row(1, 5, start=9), model_id=1, **after)))
    assert alerts(judge.judge(facts(row(1, 5, start=9), model_id=2, **after))) == {"offset_changed"}


def test_images_may_move_positions_and_text_behind_them_may_not():
    judge = judge_of(profile("mrope"))
    image = row(20, jumps=12, repeats=9, last_position=11, max_position=11, last_offset=-8)
    judge.judge(facts(image))
    assert not alerts(judge.judge(facts(row(1, 20, start=12), number=2)))
    assert alerts(judge.judge(facts(row(1, 21, start=21), number=3))) == {"offset_changed"}


def test_requests_are_forgotten_after_their_time_and_with_their_model():
    judge = judge_of(ttl_seconds=10.0)
    judge.judge(facts(row(5), cache_id=7))
    judge.judge(facts(row(5), number=20, cache_id=8))
    assert judge.live_rows == 1
    judge.forget(1)
    assert judge.live_rows == 0


@given(batches=st.lists(st.integers(1, 9), min_size=1, max_size=60), capacity=st.integers(8, 40))
@settings(max_examples=50)
def test_never_more_rows_than_its_capacity_and_one_batch(batches, capacity):
    judge = judge_of(capacity=capacity)
    for number, batch in enumerate(batches, 1):
        judge.judge(facts(*[row(3)] * batch, number=number, cache_id=number))
        assert judge.live_rows <= max(capacity, batch)
    assert judge.live_rows >= min(sum(batches), capacity - 8)


def test_thousands_of_live_requests_fit_in_a_few_megabytes_and_nobody_is_dropped():
    judge = judge_of(capacity=5_000)
    tracemalloc.start()
    for number in range(1, 5_001):
        judge.judge(facts(row(5, start=number), number=number, cache_id=number, time=0.0))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert judge.live_rows == 5_000
    assert used < 5_000 * 1_500


def test_a_request_among_thousands_is_still_held_to_its_positions():
    judge = judge_of(capacity=5_000)
    for number in range(1, 4_001):
        judge.judge(facts(row(5, start=number), number=number, cache_id=number, time=0.0))
    for turn, number in enumerate((1, 2_000, 4_000), 4_001):
        late = facts(row(1, 5, start=number + 6), number=turn, cache_id=number, time=0.0)
        assert alerts(judge.judge(late)) == {"offset_changed"}
