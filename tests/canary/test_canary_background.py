"""A canary beside a watched model reports to the model's agent and stays out of its traffic."""

from __future__ import annotations

import time

import locant
from locant.canary.background import keep_asking
from locant.demo.bed import load_bed, suite_of
from locant_slo.catalogue import metrics


def total(snapshot, metric) -> float:
    return sum(sample.value for family in snapshot.families if family.metric is metric for sample in family.samples)


def test_answers_become_indicators_and_no_pass_of_the_canary_counts_as_traffic():
    bed = load_bed("llama")
    with locant.watch(bed.model, strict=True) as watch:
        canary = keep_asking(watch, suite_of(bed), interval_seconds=3600)
        deadline = time.monotonic() + 60
        while not canary.runs and time.monotonic() < deadline:
            time.sleep(0.05)
        canary.close()
        watch.flush()
        snapshot = watch.snapshot()
        assert (canary.runs, canary.failures) == (1, 0)
        assert total(snapshot, metrics.CANARY_CASES) >= 50
        assert total(snapshot, metrics.CANARY_LAST_RUN) > 0
        assert total(snapshot, metrics.FORWARD_PASSES) == 0
        assert watch.findings() == []
