"""Plain models: which way their tokens run is told by attention and by the position table together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from locant.observation import ForwardFacts
from locant.probe.attention.contract import PassContext
from locant.probe.attention.unpadded import turned
from locant.probe.probe import Probe, ProbeOptions
from locant.sidecar.judge import Judge
from locant.wire.channel import Channel
from probe.tinies import causal, tokens
from support.no_waiting import NoWaiting

WIDTH, LONGEST = 16, 64


class Sine(nn.Module):
    """Adds a fixed table to what is [sequence, batch, width]."""

    def __init__(self) -> None:
        super().__init__()
        place, wave = torch.arange(LONGEST)[:, None], torch.arange(0, WIDTH, 2)
        angle = place / 10000 ** (wave / WIDTH)
        self.register_buffer("pe", torch.cat([angle.sin(), angle.cos()], 1)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pe[: x.shape[0]]


class Plain(nn.Module):
    """A hand-written stack of torch's own layers. `place` says how its table is asked."""

    def __init__(self, place: str, *, batch_first: bool, turn: bool = False, axial: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.place, self.turn = place, turn
        self.words = nn.Embedding(99, WIDTH)
        self.positional = Sine() if place == "sine" else None
        self.pos = None if place == "sine" else nn.Embedding(LONGEST, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, dropout=0.0, batch_first=batch_first)
        self.stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.other = nn.MultiheadAttention(WIDTH, 2, batch_first=True) if axial else None

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)
        if self.turn:
            x = x.transpose(0, 1)
        x = self.positional(x) if self.positional is not None else x + self._placed(*x.shape[:2])
        if self.other is not None:
            x = self.other(x, x, x, need_weights=False)[0]
        found: Tensor = self.stack(x)
        return found

    def _placed(self, first: int, second: int) -> Tensor:
        assert self.pos is not None
        down, along = torch.arange(first), torch.arange(second)
        if self.place == "along":
            return self.pos(along)
        if self.place == "along everywhere":
            return self.pos(along.expand(first, -1))
        if self.place == "down":
            return self.pos(down)[:, None]
        if self.place == "down by one":
            return self.pos(down[:, None])
        if self.place == "down everywhere":
            return self.pos(down[:, None].expand(-1, second))
        assert self.place == "class token apart"
        rest = self.pos((1 + along[:-1]).expand(first, -1))
        return torch.cat([self.pos(torch.zeros(first, 1, dtype=torch.int64)), rest], 1)


def verdicts(model: nn.Module, *calls: dict[str, Any]) -> set[str]:
    """Names of the checks that a few passes fail."""
    channel, judge = Channel(), Judge()
    probe = Probe(model.eval(), model_id=1, channel=channel, options=ProbeOptions(strict=True, attention_rate=1.0))
    probe.attach()
    with torch.no_grad():
        for call in calls:
            model(**call)
    probe.close()
    seen = [observation for observation in channel.drain() if not isinstance(observation, str)]
    assert sum(isinstance(observation, ForwardFacts) for observation in seen) == len(calls)
    return {hit.check for observation in seen for hit in judge.judge(observation).findings}


def batches(*shapes: tuple[int, int]) -> list[dict[str, Any]]:
    return [{"ids": tokens(*shape, seed=number)} for number, shape in enumerate(shapes)]


ROWS = batches((4, 20), (3, 17), (4, 23), (1, 9), (5, 5))
COLUMNS = [{"ids": one["ids"].t().contiguous()} for one in ROWS]


@pytest.mark.parametrize("place", ["along", "along everywhere"])
def test_batch_first_forgotten_is_attention_across_the_requests(place: str) -> None:
    assert verdicts(Plain(place, batch_first=False), *ROWS[:4]) == {"attention_across_rows"}


@pytest.mark.parametrize("place", ["down", "down by one", "down everywhere"])
def test_positions_that_count_the_batch_are_one_for_all_tokens_of_a_row(place: str) -> None:
    assert verdicts(Plain(place, batch_first=True), *ROWS) == {"positions_frozen"}


@pytest.mark.parametrize("place", ["down", "down by one", "down everywhere", "sine"])
def test_sequences_in_columns_are_legal(place: str) -> None:
    assert verdicts(Plain(place, batch_first=False), *COLUMNS) == set()


@pytest.mark.parametrize("place", ["along", "along everywhere", "class token apart"])
def test_sequences_in_rows_are_legal(place: str) -> None:
    assert verdicts(Plain(place, batch_first=True), *ROWS) == set()


@pytest.mark.parametrize("place", ["down", "down by one", "down everywhere", "sine"])
def test_a_model_may_turn_its_tokens_itself(place: str) -> None:
    assert verdicts(Plain(place, batch_first=False, turn=True), *ROWS) == set()


def test_attention_along_both_axes_is_no_mistake() -> None:
    assert verdicts(Plain("along", batch_first=False, axial=True), *ROWS) == set()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_one_position_id_for_a_row_of_tokens_is_seen_in_stock_models_too(kind: str) -> None:
    one_each = {"input_ids": tokens(2, 12), "position_ids": torch.tensor([[5], [7]]), "use_cache": False}
    assert "positions_frozen" in verdicts(causal(kind, attn="sdpa"), one_each)


@pytest.mark.parametrize("name", ["ids", "text", "sequence_of_ids"])
def test_tokens_are_found_by_their_shape_where_the_name_says_nothing(name: str) -> None:
    class Named(Plain):
        pass

    exec(f"def forward(self, {name}):\n    return Plain.forward(self, {name})", {"Plain": Plain}, found := {})
    Named.forward = found["forward"]
    calls = [{name: one["ids"]} for one in ROWS]
    assert verdicts(Named("down", batch_first=True), *calls) == {"positions_frozen"}
    assert verdicts(Named("along", batch_first=True), *calls) == set()


@pytest.mark.parametrize("count", [torch.tensor(3), torch.tensor([3, 5])])
def test_a_cache_that_the_device_counts_is_not_asked_whether_it_is_empty(count: Tensor) -> None:
    context = PassContext(1, 2, 7, None, None, None, causal=True, seed=1, cached=count)
    with NoWaiting(count):
        assert turned(context) is None
    assert turned(replace(context, cached=0)) == replace(context, batch=7, queries=2, cached=0)
