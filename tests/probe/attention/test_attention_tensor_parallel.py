"""Heads spread over two processes: each reports its own, nothing is exchanged for it, and the outputs are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from locant.probe.attention.contract import STATISTICS
from probe.attention.parallel_rank import IDS, RANKS, model_of, rank, watched

pytestmark = pytest.mark.slow
# by transformers' own plan, by torch's styles, and by these with distributed tensors in the attention itself
KINDS = ("transformers", "local", "dtensor")


@pytest.fixture(scope="module")
def every_rank(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What every rank saw of each setup."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    mp.spawn(rank, args=(KINDS, str(folder)), nprocs=RANKS)
    return {
        kind: [torch.load(folder / f"{kind}.{number}", weights_only=False) for number in range(RANKS)] for kind in KINDS
    }


@pytest.fixture(params=KINDS)
def ranks(
    request: pytest.FixtureRequest, every_rank: dict[str, list[dict[str, Any]]]
) -> tuple[str, list[dict[str, Any]]]:
    """A setup, and what its ranks saw."""
    return request.param, every_rank[request.param]


def test_outputs_are_those_of_an_unwatched_model_to_the_bit(ranks: tuple[str, list[dict[str, Any]]]) -> None:
    for seen in ranks[1]:
        assert all(torch.equal(output, seen["bare"]) for output in seen["outputs"])
        assert seen["errors"] == ["", ""]


def test_no_collective_is_added(ranks: tuple[str, list[dict[str, Any]]]) -> None:
    for seen in ranks[1]:
        assert seen["bare_collectives"] > 0
        assert seen["collectives"] == seen["bare_collectives"]


def test_every_rank_reports_its_own_heads_in_their_order(ranks: tuple[str, list[dict[str, Any]]]) -> None:
    kind, shards = ranks
    model = model_of(kind, None)
    with torch.no_grad():
        whole = watched(model, lambda: model(IDS))["attention"]
    for number, seen in enumerate(shards):
        assert len(seen["attention"]) == len(whole) > 0
        for mine, every in zip(seen["attention"], whole, strict=True):
            assert (mine.layer, mine.rows) == (every.layer, every.rows)
            for name in STATISTICS:
                share = getattr(every, name)[2 * number : 2 * number + 2]
                assert getattr(mine, name) == pytest.approx(share, rel=1e-5, abs=1e-5)
