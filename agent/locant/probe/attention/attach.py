"""Gives the hooks of one unit an attention profiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from locant.probe.attention.capture import AttentionCapture
from locant.probe.attention.fastest import FastestEngine
from locant.probe.hooks import Guard
from locant.probe.options import ProbeOptions

if TYPE_CHECKING:
    from locant.probe.capture import UnitCapture


def attend(capture: UnitCapture, options: ProbeOptions, guard: Guard) -> Callable[[], None]:
    """Arm `capture` for its sampled passes. Returns what undoes it."""
    if options.attention_rate <= 0:
        return _nothing
    attention = AttentionCapture(
        capture.unit.module,
        capture.profile,
        options.attention_rows,
        options.attention_layers,
        options.attention_heads,
        on_error=lambda error: guard.failed("attention", error),
        engine=FastestEngine(lambda error: guard.failed("attention_kernel", error)),
    )
    capture.arm, capture.disarm = attention.arm, attention.disarm
    return attention.close


def _nothing() -> None:
    return None
