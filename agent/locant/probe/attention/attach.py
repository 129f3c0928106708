"""Gives the hooks of one unit an attention profiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from locant.probe.attention.capture import AttentionCapture
from locant.probe.attention.fastest import FastestEngine
from locant.probe.hooks import Guard
from locant.probe.options import ProbeOptions

if TYPE_CHECKING:
    from locant.probe.attention.compiled.graphs import ModelGraphs
    from locant.probe.capture import UnitCapture


def attend(capture: UnitCapture, options: ProbeOptions, guard: Guard) -> Callable[[], None]:
    """Arm `capture` for its sampled passes. Returns what undoes it."""
    if options.attention_rate <= 0:
        return _nothing
    graphs = _graphs(capture, guard) if options.attention_compiled else None
    attention = AttentionCapture(
        capture.unit.module,
        capture.profile,
        options.attention_rows,
        options.attention_layers,
        options.attention_heads,
        on_error=lambda error: guard.failed("attention", error),
        engine=FastestEngine(lambda error: guard.failed("attention_kernel", error)),
        graphs=graphs,
    )
    capture.arm, capture.disarm = attention.arm, attention.disarm
    if graphs is not None:
        capture.sees_graphs = graphs.in_use
        graphs.begin()
    return attention.close


def _graphs(capture: UnitCapture, guard: Guard) -> ModelGraphs:
    """Imported where it is asked for: it brings the compiler."""
    from locant.probe.attention.compiled.graphs import ModelGraphs

    return ModelGraphs(
        capture.unit.module,
        on_error=lambda error: guard.failed("attention_graph", error),
        on_compiled=capture.governor.waited,
        wanted=lambda: guard.off.isdisjoint(("attention", "attention_graph")),
    )


def _nothing() -> None:
    return None
