"""What a mask lets through is counted as the words of each column say; where they settle nothing, nothing is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import ABSENT
from locant.probe.attention.calls import Sight
from locant.probe.attention.contract import PassContext
from locant.probe.attention.layout import Layout, lay_out
from locant.probe.attention.rows import Rows
from locant.probe.attention.visibility import COLUMNS, Geometry, judge

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Masked:
    """An attention call of which nothing but the mask is read."""

    visible: torch.Tensor
    hidden: torch.Tensor
    device: torch.device = CPU

    @property
    def keys(self) -> int:
        return self.visible.shape[2]

    def sight(self, rows: Rows) -> Sight:
        return Sight(*(rows.of(table)[torch.arange(len(rows.queries))[:, None], rows.queries] for table in self.tables))

    @property
    def tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.visible, self.hidden


@dataclass(frozen=True)
class Seen:
    """One row, as sets of columns."""

    own: int
    newest: int
    visible: set[int]
    hidden: set[int]
    keys: int
    pads: set[int]
    counted: bool

    @property
    def real(self) -> bool:
        return self.counted and bool(self.visible)

    @property
    def later(self) -> set[int]:
        return set(range(self.own + 1, self.newest + 1)) - self.pads

    @property
    def earlier(self) -> set[int]:
        return {key for key in self.visible if key <= self.own}

    @property
    def contiguous(self) -> bool:
        sure = all((key in self.visible) != (key in self.hidden) for key in range(self.keys))
        return sure and (not self.earlier or self.earlier == set(range(min(self.earlier), self.own + 1)))


def most(numbers: Any) -> int:
    return max(numbers, default=ABSENT)


def by_the_words(seen: list[Seen], layout: Layout, n: int, context: PassContext, geometry: Geometry) -> dict[str, int]:
    """The columns of one sequence, said with sets."""
    real = [row for row in seen if row.real]
    window = geometry.window if geometry.causal else None
    told = dict.fromkeys(COLUMNS, ABSENT)
    if window is not None:
        told["window_excess"] = _excess(real, window, context.own_mask)
        alone = layout.request is None or len(set(layout.request[n].tolist())) == 1
        if layout.complete and alone and not seen[0].pads:
            told["window_deficit"] = _deficit(real, window)
    deliberate = context.own_mask or context.blocks
    ahead = [row for row in real if row.later]
    if geometry.causal and real:
        everywhere = bool(ahead) and all(row.later & row.visible for row in ahead)
        told["future_visible"] = most(len(row.later & row.visible) for row in ahead) if everywhere else 0
        if deliberate and everywhere and all(row.later <= row.visible for row in ahead):
            told["future_visible"] = ABSENT
    if context.two_way and not geometry.causal and not deliberate and len({row.own for row in ahead}) >= 3:
        blind = all(row.later <= row.hidden for row in ahead)
        told["future_hidden"] = most(len(row.later) for row in ahead) if blind else 0
    told["self_blind"] = _blind(seen, layout, known=context.query_real is not None)
    if layout.padding is not None:
        told["pads_visible"] = most(len(row.visible & row.pads) for row in real)
    if layout.request is not None:
        owner = layout.request[n].tolist()
        told["cross_visible"] = most(sum(-1 < owner[key] != owner[row.own] > -1 for key in row.visible) for row in real)
    return told


def _excess(real: list[Seen], window: int, own_mask: bool) -> int:
    found = most(sum(row.own - key >= window for key in row.visible) for row in real if row.contiguous)
    edges = [(row, row.own - window) for row in real if row.own >= window and row.own - window not in row.pads]
    agreed = not own_mask or all(edge in row.visible for row, edge in edges)
    return found if agreed else min(found, 0)


def _deficit(real: list[Seen], window: int) -> int:
    full = [row for row in real if row.contiguous and row.own >= window - 1]
    counts = {len(row.earlier) for row in full}
    return max(window - counts.pop(), 0) if len(counts) == 1 and len({row.own for row in full}) >= 3 else ABSENT


def _blind(seen: list[Seen], layout: Layout, known: bool) -> int:
    judged = [row for row in seen if (row.counted if known else row.real)]
    blind = [row for row in judged if row.own in row.hidden]
    if not known:
        together = layout.complete and len(judged) > 1 and len(blind) == len(judged)
        blind = [row for row in blind if together or any(row.own in other.visible for other in seen)]
    return len(blind) if judged else ABSENT


def sets_of(call: Masked, rows: Rows, layout: Layout, context: PassContext, n: int) -> list[Seen]:
    sight, pads = call.sight(rows), set()
    if layout.padding is not None:
        pads = set(layout.padding[n].nonzero().flatten().tolist())
    found = []
    for r, query in enumerate(rows.queries[n].tolist()):
        own = int(layout.own[n, r])
        real = context.query_real is None or bool(context.query_real[n, query])
        visible, hidden = (set(table[n, r].nonzero().flatten().tolist()) for table in (sight.visible, sight.hidden))
        counted = bool(rows.weights[n, r] > 0) and own not in pads and real
        found.append(Seen(own, int(layout.newest[n, r]), visible, hidden, call.keys, pads, counted))
    return found


@st.composite
def masked_passes(draw: st.DrawFn) -> tuple[Masked, Rows, PassContext, Geometry]:
    """A mask near a legal one, with a few flips and a few doubts, and some of what may be known of the pass."""
    batch, queries, cached = draw(st.integers(1, 2)), draw(st.integers(1, 7)), draw(st.sampled_from([0, 0, 0, 1, 3]))
    keys = queries + max(cached + draw(st.sampled_from([0, 0, 0, 2, -2])), 0)
    seeded = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))

    def chance(ratio: float, *shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=seeded) < ratio

    back = torch.arange(queries)[:, None] + min(cached, keys - queries) - torch.arange(keys)
    causal, reach = draw(st.sampled_from([True, True, False])), draw(st.sampled_from([1, 2, 3, 99]))
    visible = ((back >= 0) | (not causal)) & (back < reach) & (back > -draw(st.sampled_from([1, 2, 99])))
    visible = visible.expand(batch, -1, -1) ^ chance(draw(st.sampled_from([0, 0, 0.05, 0.4])), batch, queries, keys)
    hidden = ~visible & ~chance(draw(st.sampled_from([0, 0, 0.1])), batch, queries, keys)
    tokens = max(keys, cached + queries)
    owners = torch.arange(tokens) * draw(st.integers(1, 3)) // tokens
    owners = owners.masked_fill(chance(0.1, tokens), -1) if draw(st.booleans()) else owners
    context = PassContext(
        pass_number=1,
        batch=batch,
        queries=queries,
        key_padding=chance(draw(st.sampled_from([0, 0.3])), batch, tokens) if draw(st.booleans()) else None,
        key_request=owners.expand(batch, -1) if draw(st.booleans()) else None,
        query_real=chance(0.8, batch, queries) if draw(st.booleans()) else None,
        causal=True,
        seed=1,
        cached=cached,
        own_mask=draw(st.booleans()),
        blocks=draw(st.sampled_from([False, False, True])),
        two_way=draw(st.booleans()),
    )
    taken = torch.randint(0, queries, (batch, draw(st.integers(1, 8))), generator=seeded)
    rows = Rows(None, taken, (~chance(0.1, *taken.shape)).float())
    geometry = Geometry(draw(st.sampled_from([None, 1, 2, 3, 4])), draw(st.booleans()))
    return Masked(visible, hidden), rows, context, geometry


@settings(max_examples=250)
@given(masked_passes())
def test_every_column_is_what_its_words_say(made: tuple[Masked, Rows, PassContext, Geometry]) -> None:
    call, rows, context, geometry = made
    layout = lay_out(context, call.keys, rows)
    found = judge(call, rows, layout, context, geometry)
    for n in range(context.batch):
        wanted = by_the_words(sets_of(call, rows, layout, context, n), layout, n, context, geometry)
        assert dict(zip(COLUMNS, found[n].tolist(), strict=True)) == wanted


def test_nothing_is_said_where_columns_and_tokens_cannot_be_matched() -> None:
    rows = Rows(None, torch.arange(3)[None], torch.ones(1, 3))
    context = PassContext(1, 1, 3, None, None, None, True, 1, None)
    call = Masked(torch.ones(1, 3, 5, dtype=torch.bool), torch.zeros(1, 3, 5, dtype=torch.bool))
    assert set(judge(call, rows, lay_out(context, 5, rows), context, Geometry(2, True))[0].tolist()) == {ABSENT}


@pytest.mark.parametrize(("own_mask", "said"), [(False, 1), (True, 0)])
def test_a_key_beyond_the_window_that_only_some_rows_see_may_be_a_sink_in_a_mask_of_the_callers_own(
    own_mask: bool, said: int
) -> None:
    visible = torch.zeros(1, 9, 9, dtype=torch.bool)
    visible[0, 5, 2:6] = visible[0, 8, 6:9] = True  # by a window of three, row 5 sees one key too many, row 8 none
    rows = Rows(None, torch.tensor([[5, 8]]), torch.ones(1, 2))
    context = PassContext(1, 1, 9, None, None, None, True, 1, 0, own_mask=own_mask)
    found = judge(Masked(visible, ~visible), rows, lay_out(context, 9, rows), context, Geometry(3, True))[0]
    assert found[COLUMNS.index("window_excess")] == said


@pytest.mark.parametrize(("queries", "said"), [(2, False), (3, True)])
def test_three_rows_that_agree_are_a_window_and_two_are_not(queries: int, said: bool) -> None:
    back = torch.arange(6)[:, None] - torch.arange(6)
    visible = ((back >= 0) & (back < 2))[None]
    rows = Rows(None, torch.tensor([[3, 4, 5]])[:, :queries], torch.ones(1, queries))
    context = PassContext(1, 1, 6, None, None, None, True, 1, 0)
    for two_way in (False, True):
        known = replace(context, two_way=two_way)
        found = judge(Masked(visible, ~visible), rows, lay_out(known, 6, rows), known, Geometry(3, True))[0]
        assert found[COLUMNS.index("window_deficit")] == (1 if said else ABSENT)
