"""Where a call's keys stand: what is said of columns is what a cache that stores token by token would hold."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.probe.attention.contract import PassContext
from locant.probe.attention.layout import lay_out
from locant.probe.attention.rows import Rows


def every_row(batch: int, queries: int) -> Rows:
    return Rows(None, torch.arange(queries).expand(batch, -1), torch.ones(batch, queries))


def context(batch: int, queries: int, cached: int | torch.Tensor | None, **known: torch.Tensor | None) -> PassContext:
    known = {"key_padding": None, "key_request": None} | known
    return PassContext(1, batch, queries, known["key_padding"], known["key_request"], None, True, 1, cached)


def stored(before: int, queries: int, keys: int) -> list[int | None]:
    """Token numbers by column: the newest last in a cache that is full, and nothing yet where room is left."""
    tokens: list[int | None] = list(range(before + queries))
    return tokens[len(tokens) - keys :] if len(tokens) > keys else tokens + [None] * (keys - len(tokens))


@settings(max_examples=100)
@given(
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(0, 6),
    st.integers(0, 9),
    st.booleans(),
    st.integers(0, 9),
    st.sampled_from([-2, 0, 2]),
)
def test_columns_are_where_a_cache_that_grows_forgets_or_has_room_keeps_its_tokens(
    batch: int, queries: int, before: int, spare: int, counted_by_device: bool, seed: int, more: int
) -> None:
    """`more`: so many tokens is more (or less) known of than there are."""
    keys, drawn = queries + spare, torch.Generator().manual_seed(seed)
    known = max(before + queries + more, 1)
    padding = torch.rand(batch, known, generator=drawn) < 0.4
    cached = torch.tensor(before) if counted_by_device else before
    found = lay_out(context(batch, queries, cached, key_padding=padding), keys, every_row(batch, queries))
    columns = stored(before, queries, keys)
    assert found.located
    assert found.own.tolist() == [[columns.index(before + query) for query in range(queries)]] * batch
    assert set(found.newest.flatten().tolist()) == {columns.index(before + queries - 1)}
    assert int(found.first_stored) == columns[0]
    assert found.complete is (not counted_by_device and columns[0] == 0)
    assert found.padding is not None
    for sequence in range(batch):
        wanted = [bool(padding[sequence, t]) if t is not None and t < known else False for t in columns]
        told = found.padding[sequence].tolist()
        assert [told[n] for n, t in enumerate(columns) if t is not None] == [
            wanted[n] for n, t in enumerate(columns) if t is not None
        ]
        first = told.index(False) if False in told else 0
        assert set(found.opening[sequence].tolist()) == {-1 if columns[0] else first}


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(1, 4), st.integers(0, 8))
def test_a_cache_that_counts_every_sequence_by_itself_has_a_place_for_each(
    counts: list[int], queries: int, spare: int
) -> None:
    rows = Rows(torch.arange(len(counts)).flip(0), torch.arange(queries).expand(len(counts), -1), torch.ones(1))
    found = lay_out(context(len(counts), queries, torch.tensor(counts)), queries + spare, rows)
    starts = [min(count, spare) for count in reversed(counts)]
    assert found.own.tolist() == [[start + query for query in range(queries)] for start in starts]
    assert found.newest.tolist() == [[start + queries - 1] * queries for start in starts]
    assert found.first_stored == 0
    assert found.complete


def test_a_request_opens_at_its_first_key_that_is_no_padding() -> None:
    request = torch.tensor([[0, 0, 0, 1, 1, 2]])
    padding = torch.tensor([[True, False, False, True, False, False]])
    known = context(1, 6, 0, key_request=request, key_padding=padding)
    assert lay_out(known, 6, every_row(1, 6)).opening.tolist() == [[1, 1, 1, 4, 4, 5]]
    assert lay_out(context(1, 6, 0, key_request=request), 6, every_row(1, 6)).opening.tolist() == [[0, 0, 0, 3, 3, 5]]
    for cached in 3, torch.tensor(3):
        ahead = lay_out(context(1, 3, cached, key_request=request), 8, every_row(1, 3))
        assert ahead.request is not None
        assert ahead.request.tolist() == [[0, 0, 0, 1, 1, 2, -1, -1]]


def test_columns_and_tokens_are_not_matched_where_the_cache_is_unknown_or_keys_are_fewer_than_queries() -> None:
    assert not lay_out(context(1, 4, None), 6, every_row(1, 4)).located
    assert not lay_out(context(1, 4, 2), 3, every_row(1, 4)).located
    assert not lay_out(context(1, 4, None), 3, every_row(1, 4)).complete
    alone = lay_out(context(1, 4, None), 4, every_row(1, 4))
    assert (alone.located, alone.complete, alone.own.tolist()) == (True, True, [[0, 1, 2, 3]])


def test_a_context_goes_to_a_device_with_all_its_tensors_and_stays_itself_where_they_are_there() -> None:
    here = context(1, 4, torch.tensor(2), key_padding=torch.zeros(1, 4, dtype=torch.bool))
    assert here.on(torch.device("cpu")) is here
    there = here.on(torch.device("meta"))
    assert (there.key_padding.device.type, there.cached.device.type, there.key_request) == ("meta", "meta", None)
    half = replace(here, cached=torch.tensor(2, device="meta")).on(torch.device("meta"))
    assert half.key_padding.device.type == "meta"
    assert (there.batch, there.queries, there.seed) == (here.batch, here.queries, here.seed)
