"""Passes, tokens, verdicts, time and memory become exactly the events that the indicators define."""

from __future__ import annotations

from dataclasses import replace

import pytest

from locant.observation import ABSENT, ForwardFacts, ModelProfile, Observation, StreamFacts
from locant.sidecar.config import AgentConfig
from locant.sidecar.service import Agent
from locant_slo.catalogue import metrics
from locant_slo.catalogue.labels import OUTCOME, PHASE
from locant_slo.findings import FailureMode, Severity
from locant_slo.indicators import INDICATORS
from locant_slo.snapshot import Exemplar, Sample, Snapshot
from support.sidecar_traffic import (
    OWN,
    PROFILE,
    START,
    Clock,
    ScriptedJudge,
    StubVerdict,
    attached,
    forward,
    histogram,
    row,
    samples,
    value,
    values,
)

TRACED = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "00f067aa0ba902b7"}


def counted(
    *observations: Observation,
    verdict: StubVerdict | None = None,
    profile: ModelProfile = PROFILE,
    config: AgentConfig | None = None,
) -> Snapshot:
    judge = ScriptedJudge(lambda observation: verdict if isinstance(observation, ForwardFacts) else None)
    agent = Agent(config or AgentConfig(), judge, clock=Clock())
    agent.ingest([attached(profile=profile), *observations])
    return agent.snapshot()


def sli(snapshot: Snapshot, indicator: str) -> tuple[float, float]:
    """Events and bad events."""
    labels = (indicator, *OWN)
    return value(snapshot, metrics.SLI_EVENTS, *labels), value(snapshot, metrics.SLI_BAD_EVENTS, *labels)


def test_every_counter_with_known_labels_exists_at_zero_once_a_model_is_attached() -> None:
    known = [(FailureMode.BATCH_MIXUP, Severity.PAGE, "offset_ledger")]
    agent = Agent(AgentConfig(), ScriptedJudge(), checks=known, clock=Clock())
    agent.ingest([attached()])
    snapshot = agent.snapshot()
    for metric in (metrics.SLI_EVENTS, metrics.SLI_BAD_EVENTS):
        assert values(snapshot, metric) == {(indicator.id, *OWN): 0 for indicator in INDICATORS}
    passes = {(phase, outcome, *OWN): 0 for phase in PHASE.values for outcome in OUTCOME.values}
    assert values(snapshot, metrics.FORWARD_PASSES) == passes
    assert values(snapshot, metrics.FINDINGS) == {("F2", "page", "offset_ledger", *OWN): 0}
    assert histogram(snapshot, metrics.SEQUENCE_LENGTH, *OWN).count == 0
    assert values(snapshot, metrics.MODEL_INFO) == {(*OWN, "llama", "rope", "1024", "c0ffee"): 1}


def test_padding_ratio_counts_tokens_and_holes_in_the_mask() -> None:
    snapshot = counted(forward(row(100), row(60, left_pads=40), row(97, mask_holes=3)))
    assert sli(snapshot, "padding_ratio") == (300, 43)
    assert values(snapshot, metrics.TOKENS) == {("real", *OWN): 257, ("padding", *OWN): 43}
    assert value(snapshot, metrics.SEQUENCES, "prefill", *OWN) == 3


def test_a_failed_pass_counts_as_an_error_and_computes_no_token() -> None:
    snapshot = counted(forward(row(100), error="IndexError", cache_bytes=5))
    assert value(snapshot, metrics.FORWARD_PASSES, "prefill", "error", *OWN) == 1
    for indicator in ("padding_ratio", "latency_per_token", "memory_per_sequence"):
        assert sli(snapshot, indicator) == (0, 0)
    assert not samples(snapshot, metrics.FORWARD_DURATION)


def test_rows_named_by_the_verdict_are_bad_and_the_rest_of_the_checked_ones_good() -> None:
    verdict = StubVerdict(bad_rows=frozenset({1, 2}), anomalous_rows=frozenset({2}))
    snapshot = counted(forward(row(5), row(5), row(5), **TRACED), verdict=verdict)
    assert sli(snapshot, "position_integrity") == (3, 2)
    assert sli(snapshot, "position_anomaly") == (3, 1)
    bad = samples(snapshot, metrics.SLI_BAD_EVENTS)[("position_integrity", *OWN)]
    assert isinstance(bad, Sample)
    assert bad.exemplar == Exemplar(2, START, **TRACED)


def test_rows_whose_positions_were_not_seen_are_no_events_unless_something_was_found_in_them() -> None:
    rows = (row(5, seen=False), row(5, seen=False), row(0))
    assert sli(counted(forward(*rows)), "position_integrity") == (0, 0)
    assert sli(counted(forward(*rows), verdict=StubVerdict(bad_rows=frozenset({1}))), "position_integrity") == (1, 1)


def test_a_verdict_on_a_pass_without_rows_still_keeps_events_at_least_at_bad() -> None:
    verdict = StubVerdict(bad_rows=frozenset({0}), streaming_bad_rows=frozenset({0}))
    snapshot = counted(forward(phase="decode", queries=1), verdict=verdict)
    assert sli(snapshot, "position_integrity") == (1, 1)
    assert sli(snapshot, "streaming_chunks") == (1, 1)


def test_decode_steps_are_chunks_and_prefills_are_none() -> None:
    verdict = StubVerdict(streaming_bad_rows=frozenset({0}))
    step = forward(row(1, before=9), row(1, before=7), phase="decode")
    assert sli(counted(step, verdict=verdict), "streaming_chunks") == (2, 1)
    assert sli(counted(forward(row(9))), "streaming_chunks") == (0, 0)


def test_a_decode_step_that_raised_fails_every_chunk_of_it() -> None:
    step = forward(row(1, before=9), row(1, before=7), phase="decode", error="RuntimeError")
    assert sli(counted(step), "streaming_chunks") == (2, 2)
    assert sli(counted(forward(phase="decode", queries=1, error="RuntimeError")), "streaming_chunks") == (1, 1)


def test_streams_count_what_they_delivered_and_what_failed() -> None:
    assert sli(counted(StreamFacts(1, START, 40, 1, "TimeoutError")), "streaming_chunks") == (41, 1)


def test_latency_counts_tokens_and_each_row_waits_for_the_whole_pass() -> None:
    config = AgentConfig(latency_target_seconds=0.01)
    facts = forward(row(100), row(5, left_pads=95), duration_seconds=0.1)
    snapshot = counted(facts, config=config)
    assert sli(snapshot, "latency_per_token") == (105, 5)
    short = histogram(snapshot, metrics.TOKEN_DURATION, "prefill", "up_to_1_8", *OWN)
    assert short.count == 105
    assert short.sum == pytest.approx(0.2)
    assert histogram(snapshot, metrics.FORWARD_DURATION, "prefill", *OWN).count == 1


def test_latency_buckets_follow_the_length_of_the_whole_sequence() -> None:
    snapshot = counted(forward(row(1, before=1023), row(1, before=2047), phase="decode", duration_seconds=0.02))
    assert set(samples(snapshot, metrics.TOKEN_DURATION)) == {("decode", b, *OWN) for b in ("up_to_1", "up_to_2")}


@pytest.mark.parametrize("duration", [0.0, -1.0, float("nan")])
def test_a_pass_without_a_duration_says_nothing_about_latency(duration: float) -> None:
    assert sli(counted(forward(row(9), duration_seconds=duration)), "latency_per_token") == (0, 0)


def test_memory_is_judged_against_the_tokens_that_the_cache_holds() -> None:
    config = AgentConfig(memory_factor=2.0, memory_constant_bytes=1000)
    within = forward(row(1, before=99), row(1, before=99), phase="decode", cache_bytes=2 * (2 * 1024 * 100 + 1000))
    assert sli(counted(within, config=config), "memory_per_sequence") == (2, 0)
    above = replace(within, positional_bytes=2)
    snapshot = counted(above, config=config)
    assert sli(snapshot, "memory_per_sequence") == (2, 2)
    held = histogram(snapshot, metrics.SEQUENCE_MEMORY, "up_to_1_8", *OWN)
    assert (held.count, held.sum) == (2, above.cache_bytes + 2)


def test_padding_in_the_cache_is_not_held_against_its_memory() -> None:
    config = AgentConfig(memory_factor=1.0, memory_constant_bytes=0)
    facts = forward(row(4, left_pads=96), row(100), cache_bytes=2 * 100 * 1024)
    assert sli(counted(facts, config=config), "memory_per_sequence") == (2, 0)


@pytest.mark.parametrize("unknown", [{"cache_bytes_per_token": None}, {"kind": "encoder_decoder"}])
def test_memory_without_a_known_budget_is_measured_but_not_judged(unknown: dict[str, object]) -> None:
    facts = forward(row(9), cache_bytes=10**12, peak_device_bytes=77)
    snapshot = counted(facts, profile=replace(PROFILE, **unknown))  # type: ignore[arg-type]
    assert sli(snapshot, "memory_per_sequence") == (0, 0)
    assert histogram(snapshot, metrics.SEQUENCE_MEMORY, "up_to_1_8", *OWN).count == 1
    assert value(snapshot, metrics.PEAK_MEMORY, *OWN) == 77


def test_a_row_whose_cache_was_not_counted_has_no_budget() -> None:
    facts = forward(row(9, cache_tokens=ABSENT), cache_bytes=10**12)
    assert sli(counted(facts), "memory_per_sequence") == (0, 0)


def test_a_phase_outside_the_catalogue_is_counted_as_invalid() -> None:
    snapshot = counted(forward(row(9), phase="thinking"))
    assert value(snapshot, metrics.OBSERVATIONS_DROPPED, "invalid") > 0
    assert sli(snapshot, "position_integrity") == (1, 0)
