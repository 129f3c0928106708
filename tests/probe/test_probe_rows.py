"""The reduction to one row of integers, against a reference written with loops, over hostile inputs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import ABSENT, RowFacts, RowField
from locant.probe.decode import decode_rows
from locant.probe.masks import split_mask
from locant.probe.row_inputs import RowInputs, RowRules
from locant.probe.rows import reduce_rows
from locant.probe.segments import start_flags

CPU = torch.device("cpu")
PAD = 0


def reduce(ids: Any = None, *, rules: RowRules | None = None, **given_: Any) -> list[RowFacts]:
    """`reduce_rows` over lists."""
    tensors = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in given_.items()}
    ids = torch.tensor(ids) if ids is not None else None
    shape = ids.shape if ids is not None else tensors.pop("shape")
    inputs = RowInputs(shape[0], shape[1], CPU, ids=ids, **tensors)
    return [RowFacts(*row) for row in reduce_rows(inputs, rules or RowRules(pad_id=PAD)).tolist()]


def test_a_left_padded_row_counts_from_its_first_real_token():
    [row] = reduce([[PAD, PAD, 5, 6, 7]], mask=[[0, 0, 1, 1, 1]], positions=[[0, 1, 2, 3, 4]])
    assert (row.real, row.left_pads, row.right_pads, row.mask_holes) == (3, 2, 0, 0)
    assert (row.first_position, row.last_position, row.first_offset, row.last_offset) == (2, 4, 2, 2)
    assert row.unmasked_left_pads == 0


def test_a_dropped_mask_leaves_unmasked_pads():
    [row] = reduce([[PAD, PAD, 5, 6, PAD]], positions=[[0, 0, 0, 1, 2]])
    assert (row.unmasked_left_pads, row.unmasked_right_pads, row.real) == (2, 1, 2)


def test_a_mask_of_ones_covers_no_pads():
    [row] = reduce([[PAD, PAD, 5, 6]], mask=[[1, 1, 1, 1]], positions=[[0, 1, 2, 3]])
    assert (row.unmasked_left_pads, row.real) == (2, 4)


def test_a_four_dimensional_mask_may_cover_pads_so_nothing_is_claimed():
    [row] = reduce([[PAD, 5, 6]], opaque_mask=True, positions=[[0, 0, 1]])
    assert row.unmasked_left_pads == ABSENT
    assert row.real == 2


def test_a_pad_that_also_starts_sequences_is_no_padding_when_alone():
    rules = RowRules(pad_id=PAD, pad_starts=True, pad_ends=True)
    [alone, padded] = reduce([[PAD, 5, 6, PAD], [PAD, PAD, 5, PAD]], rules=rules, positions=[[0, 1, 2, 3]])
    assert (alone.unmasked_left_pads, alone.unmasked_right_pads, alone.first_offset) == (0, 0, 0)
    assert padded.unmasked_left_pads == 1


def test_a_finished_sequence_of_pads_is_no_leak():
    [row] = reduce([[PAD, PAD, PAD]], mask=[[1, 1, 1, 1, 1]], cached=2, positions=[[2, 3, 4]])
    assert (row.unmasked_left_pads, row.unmasked_right_pads) == (0, 0)


def test_packing_resets_and_is_no_jump():
    [row] = reduce([[5, 6, 7, 5, 6, 5]], positions=[[0, 1, 2, 0, 1, 0]])
    assert (row.resets, row.jumps, row.repeats) == (2, 0, 0)
    [row] = reduce([[5, 6, 7, 5, 6]], positions=[[0, 1, 2, 1, 5]])
    assert (row.resets, row.jumps) == (0, 2)


def test_a_reset_to_the_family_base_counts_in_a_row_that_began_elsewhere():
    [row] = reduce([[5, 6, 7, 5]], rules=RowRules(base=2), positions=[[9, 10, 11, 2]])
    assert (row.resets, row.jumps) == (1, 0)


def test_three_axes_use_the_first_for_offsets_and_all_for_extremes():
    axes = [[[0, 1, 1, 1]], [[0, 1, 1, 2]], [[0, 1, 9, 2]]]
    [row] = reduce([[5, 6, 7, 8]], positions=axes)
    assert (row.first_offset, row.last_offset, row.repeats) == (0, -2, 2)
    assert (row.min_position, row.max_position) == (0, 9)


def test_real_tokens_before_come_from_the_mask_and_else_from_the_cache():
    [row] = reduce([[5]], mask=[[0, 0, 1, 1, 1]], cached=4, positions=[[2]])
    assert (row.real_before, row.cache_tokens, row.first_offset) == (2, 4, 0)
    [row] = reduce([[5]], cached=4, positions=[[2]])
    assert (row.real_before, row.first_offset) == (4, -2)
    [short] = reduce([[5]], mask=[[1]], cached=4, positions=[[4]])
    assert short.real_before == 4


def test_declared_boundaries_that_do_not_restart_are_misses():
    starts = start_flags(((2, 3, 1),), 1, 6)
    [on, off] = (
        reduce([[5, 6, 7, 8, 9, 5]], positions=p, starts=starts)[0]
        for p in ([[0, 1, 0, 1, 2, 0]], [[0, 1, 2, 3, 4, 5]])
    )
    assert (on.boundary_misses, off.boundary_misses) == (0, 2)


def test_the_separator_is_found_by_structure():
    rules = RowRules(token_types=2, special_below=4)
    [pair, single] = reduce([[1, 9, 8, 3, 7, 3], [1, 9, 8, 7, 6, 3]], rules=rules)
    assert (pair.separators, single.separators) == (2, ABSENT)
    assert pair.segments_seen == 1
    [typed] = reduce([[1, 9, 8, 3, 7, 3]], rules=rules, token_types=[[0, 0, 0, 0, 1, 1]])
    assert typed.segments_seen == 2


def test_words_that_happen_to_repeat_are_no_separators():
    rules = RowRules(token_types=2, special_below=4)
    rows = reduce([[1, 9, 5, 8, 7, 5], [3, 9, 8, 7, 6, 3]], rules=rules)
    assert [row.separators for row in rows] == [ABSENT, ABSENT]
    mixed = reduce([[1, 9, 8, 3, 7, 3], [1, 9, 8, 7, 6, 2]], rules=rules)
    assert [row.separators for row in mixed] == [ABSENT, ABSENT]


def test_a_repeated_word_at_the_end_is_no_separator():
    [row] = reduce([[1, 9, 8, 3, 7, 9]], rules=RowRules(token_types=2))
    assert row.separators == ABSENT


def test_equal_tokens_have_equal_hashes_and_order_counts():
    [one, same, other] = reduce([[PAD, 5, 6], [5, 6, PAD], [PAD, 6, 5]], positions=[[0, 1, 2]])
    assert one.first_token_hash == same.first_token_hash != other.first_token_hash
    assert 0 <= one.first_token_hash < 2**31


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(2, 3),
        torch.ones(2, 3, dtype=torch.bool),
        torch.ones(2, 3, dtype=torch.int32),
        torch.ones(1, 3),
        torch.ones(2, 2),
        torch.ones(2, 9),
        None,
    ],
)
@pytest.mark.parametrize("cached", [0, 3, torch.tensor(3)])
@pytest.mark.parametrize("queries", [3, 1])
def test_odd_masks_are_read_or_left_alone_never_an_error(mask, cached, queries):
    ids = torch.full((2, queries), 7)
    inputs = RowInputs(2, queries, CPU, ids=ids, mask=mask, cached=cached)
    rows = reduce_rows(inputs, RowRules())
    assert rows.shape == (2, len(RowField))
    assert rows[:, RowField.REAL].tolist() == [queries] * 2


def test_embeddings_alone_still_have_positions():
    [row] = reduce(shape=(1, 4), positions=[[0, 1, 2, 3]])
    assert (row.real, row.first_offset, row.first_token_hash, row.unmasked_left_pads) == (4, 0, ABSENT, ABSENT)


def reference(ids: list[int], mask: list[int], positions: list[int], before: int) -> dict[str, int]:
    """Loops over one row: the definition in plain words."""
    real = [i for i, keep in enumerate(mask) if keep]
    if not real:
        return {"real": 0, "left_pads": len(ids), "first_offset": ABSENT, "jumps": ABSENT}
    first, last = real[0], real[-1]
    pairs = [(a, b) for a, b in itertools.pairwise(real) if b == a + 1]
    steps = [(positions[b] - positions[a], positions[b]) for a, b in pairs]
    resets = sum(step < 0 and to in (positions[first], 0) for step, to in steps)
    return {
        "real": len(real),
        "left_pads": first,
        "right_pads": len(ids) - 1 - last,
        "mask_holes": last - first + 1 - len(real),
        "real_before": before,
        "first_position": positions[first],
        "last_position": positions[last],
        "min_position": min(positions[i] for i in real),
        "max_position": max(positions[i] for i in real),
        "first_offset": positions[first] - before,
        "last_offset": positions[last] - before - len(real) + 1,
        "jumps": sum(step != 1 for step, _ in steps) - resets,
        "resets": resets,
        "repeats": sum(step == 0 for step, _ in steps),
    }


@st.composite
def batches(draw):
    batch, queries, cached = draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(0, 4))
    row = st.lists(st.integers(0, 4), min_size=queries, max_size=queries)
    keep = st.lists(st.integers(0, 1), min_size=queries + cached, max_size=queries + cached)
    several = {"min_size": batch, "max_size": batch}
    return cached, draw(st.lists(row, **several)), draw(st.lists(keep, **several)), draw(st.lists(row, **several))


@given(batches())
@settings(max_examples=150)
def test_every_column_follows_its_definition(case):
    cached, ids, mask, positions = case
    for length in (cached, torch.tensor(cached)):
        rows = reduce(ids, mask=mask, positions=positions, cached=length)
        for row, tokens, keep, place in zip(rows, ids, mask, positions, strict=True):
            expected = reference(tokens, keep[cached:], place, sum(keep[:cached]))
            assert {name: getattr(row, name) for name in expected} == expected


@given(
    token=st.integers(0, 3),
    position=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    keep=st.none() | st.lists(st.integers(0, 1), min_size=3, max_size=3),
    pad=st.none() | st.integers(0, 1),
    starts=st.booleans(),
    opaque=st.booleans(),
    types=st.integers(0, 2),
    separator=st.none() | st.just(3),
)
@settings(max_examples=150)
def test_the_short_way_for_single_tokens_equals_the_long_one(
    token, position, keep, pad, starts, opaque, types, separator
):
    rules = RowRules(pad_id=pad, pad_starts=starts, token_types=types, separator_id=separator, salt=977)
    axes = torch.tensor(position)[:, None, None] if len(position) > 1 else torch.tensor([position])
    mask = torch.tensor([keep]) if keep is not None else None
    inputs = RowInputs(1, 1, CPU, ids=torch.tensor([[token]]), positions=axes, mask=mask, opaque_mask=opaque, cached=2)
    long = [RowFacts(*row) for row in reduce_rows(inputs, rules).tolist()]
    assert decode_rows(inputs, rules, declared=False) == long
    split = split_mask(inputs)
    parted = replace(inputs, mask=None, split=split)
    assert decode_rows(parted, rules, declared=False) == long


def test_the_reduction_leaves_random_state_and_gradients_alone():
    state = torch.random.get_rng_state()
    with torch.inference_mode():
        reduce([[1, 2, 3]], mask=[[1, 1, 1]], positions=[[0, 1, 2]])
    assert torch.equal(state, torch.random.get_rng_state())
