"""A canary beside a watched model: one call that asks it again and again and reports to its agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from locant.canary.answering import Answer
from locant.canary.runner import CanaryRunner
from locant.canary.schedule import CanarySchedule
from locant.canary.suite import LABEL_FREE, Suite
from locant.watching import Watch


def keep_asking(
    watch: Watch,
    suite: Suite = LABEL_FREE,
    *,
    interval_seconds: float = 300.0,
    share: float = 0.01,
    answer: Answer | None = None,
    guard: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> CanarySchedule:
    """Start asking `suite` of the watched model in the background; close the schedule before the watch.

    A run starts every `interval_seconds` at most and takes at most `share` of the time. `answer` and `guard` as in
    `CanaryRunner`: hand in the engine's own way to answer to test what requests go through.
    """
    probe = watch.probe
    offer = watch.agent.host.channel.offer
    runner = CanaryRunner(
        probe.model, probe.model_id, probe.profile, suite, time.time, offer, answer=answer, guard=guard
    )
    return CanarySchedule(runner.run_once, interval_seconds=interval_seconds, share=share).start()
