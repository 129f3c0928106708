"""Compiled models, a backend that keeps count of what it is asked, and attention captures on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from locant.probe.attention.capture import AttentionCapture
from locant.probe.attention.compiled.graphs import ModelGraphs
from locant.probe.attention.compiled.operation import operation
from locant.probe.attention.contract import LayerStatistics, PassContext
from locant.probe.profile import describe

EVERY_ROW = 10**6


class Plain(nn.Module):
    """A hand-written model of two causal layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, 16)
        self.layers = nn.ModuleList(nn.Linear(16, 48) for _ in range(2))

    def forward(self, input_ids: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
        x = self.embed(input_ids)
        for layer in self.layers:
            query, key, value = layer(x).view(*x.shape[:2], 3, 2, 8).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(
                query, key, value, attn_mask=attn_mask, is_causal=attn_mask is None
            )
            x = x + mixed.transpose(1, 2).reshape(x.shape)
        return x


def hand_written() -> Plain:
    """The same random weights each time."""
    torch.manual_seed(0)
    return Plain().eval()


@dataclass
class Backend:
    """Runs graphs as they are, and knows which it was given and how often each ran. `fails` where it is to."""

    graphs: list[fx.GraphModule] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    fails: Callable[[bool], bool] = lambda observed: False

    def __call__(self, graph: fx.GraphModule, inputs: Any) -> Callable[..., Any]:
        if self.fails(observations(graph) > 0):
            raise RuntimeError("no compiler today")
        number = len(self.graphs)
        self.graphs.append(graph)
        self.runs.append(0)

        def run(*given: Any) -> Any:
            self.runs[number] += 1
            return graph.forward(*given)

        return run

    @property
    def plain(self) -> list[int]:
        """How often each graph without observations ran."""
        return [runs for graph, runs in zip(self.graphs, self.runs, strict=True) if not observations(graph)]

    @property
    def observed(self) -> list[int]:
        """How often each graph with observations ran."""
        return [runs for graph, runs in zip(self.graphs, self.runs, strict=True) if observations(graph)]


def observations(graph: fx.GraphModule) -> int:
    """How many observations are in a graph."""
    return sum(node.target is operation() for node in graph.graph.nodes)


def graph_count() -> int:
    """How many graphs torch has traced since its counters were cleared."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


@contextmanager
def observing(model: nn.Module) -> Iterator[Callable[[PassContext, Callable[[], Any]], tuple[Any, Any]]]:
    """Gives what runs a call of a compiled model in an armed pass: its output, and what was found in every layer."""
    errors: list[Exception] = []
    graphs = ModelGraphs(model, on_error=errors.append)
    graphs.begin()
    capture = AttentionCapture(
        model, describe(model), EVERY_ROW, tuple(range(32)), on_error=errors.append, graphs=graphs
    )

    def armed(context: PassContext, call: Callable[[], Any]) -> tuple[Any, list[LayerStatistics]]:
        found: list[LayerStatistics] = []
        capture.arm(context, found.append)
        try:
            return call(), found
        finally:
            capture.disarm()

    try:
        yield armed
    finally:
        capture.close()
    assert not errors
