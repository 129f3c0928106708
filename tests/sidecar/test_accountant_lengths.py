"""A sequence's length is told once, and a window of lengths is judged only when there is enough to judge."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import ABSENT, Detached, ForwardFacts
from locant.sidecar.accountant.lengths import NewSequence, PrefillTracker
from locant.sidecar.config import AgentConfig
from locant.sidecar.references import Lengths, Reference, References
from locant.sidecar.service import Agent
from locant_slo.catalogue import metrics
from locant_slo.statistics import bucket_index
from support.sidecar_traffic import (
    MODEL,
    OWN,
    START,
    VERSION,
    Clock,
    ScriptedJudge,
    attached,
    forward,
    histogram,
    row,
    value,
    values,
)

EDGES = metrics.SEQUENCE_LENGTH.buckets


def chunk(real: int, before: int, cache: int = 7, **fields: object) -> ForwardFacts:
    return forward(row(real, before=before), cache_id=cache, **fields)


def step(before: int, cache: int = 7) -> ForwardFacts:
    return forward(row(1, before=before), phase="decode", cache_id=cache)


def told(*passes: ForwardFacts, settle_seconds: float = 10.0) -> list[int]:
    """Lengths told during the passes, one a second, and then at once after a silence."""
    tracker = PrefillTracker(settle_seconds=settle_seconds)
    lengths = [one.tokens for second, facts in enumerate(passes) for one in tracker.take(facts, float(second))]
    return lengths + [one.tokens for one in tracker.settle(len(passes) + settle_seconds)]


def test_a_prompt_is_told_at_its_first_decode_step_and_never_again() -> None:
    assert told(chunk(50, 0), step(50), step(51), step(52)) == [50]


def test_a_chunked_prompt_is_one_sequence_of_its_whole_length() -> None:
    assert told(chunk(512, 0), chunk(512, 512), chunk(76, 1024), step(1100), step(1101)) == [1100]


def test_a_prompt_that_is_never_decoded_is_told_after_a_silence() -> None:
    tracker = PrefillTracker(settle_seconds=10.0)
    assert tracker.take(chunk(50, 0), 0.0) == []
    assert tracker.settle(9.0) == []
    assert tracker.settle(10.0) == [NewSequence(50, 49)]
    assert tracker.settle(99.0) == []


def test_the_next_turn_and_a_speculative_check_are_no_new_sequences() -> None:
    assert told(chunk(50, 0), step(50), chunk(30, 51), chunk(5, 81), step(86)) == [50]


def test_a_prefix_hit_is_a_new_sequence_of_its_whole_length() -> None:
    assert told(chunk(20, 400), step(420)) == [420]


def test_a_cache_that_is_used_again_from_the_start_holds_a_new_sequence() -> None:
    assert told(chunk(50, 0), step(50), chunk(60, 0), step(60)) == [50, 60]
    assert told(chunk(50, 0), chunk(60, 0), step(60)) == [50, 60]


def test_passes_without_a_cache_tell_at_once_and_encoders_always() -> None:
    assert told(forward(row(50), row(20, left_pads=30)), forward(row(9), phase="encode", cache_id=3)) == [50, 20, 9]


def test_decode_steps_without_a_cache_and_failed_or_empty_rows_tell_nothing() -> None:
    assert told(forward(row(1), phase="decode"), chunk(9, 0, error="IndexError"), forward(row(0))) == []


def test_packed_rows_hold_sequences_of_unknown_lengths_and_tell_none() -> None:
    assert told(forward(row(50, resets=2), row(40)), forward(row(50), packed=True)) == [40]


def test_a_cache_pushed_out_of_the_tracker_is_told_before_it_is_forgotten() -> None:
    tracker = PrefillTracker(capacity=2)
    lengths = [one.tokens for cache in range(1, 5) for one in tracker.take(chunk(10 * cache, 0, cache), 0.0)]
    assert lengths == [10, 20]


@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 600), st.integers(0, 3)), min_size=1, max_size=20))
@settings(max_examples=50)
def test_every_prompt_is_told_once_however_it_is_chunked(prompts: list[tuple[int, int, int]]) -> None:
    passes: list[ForwardFacts] = []
    for cache, (length, size, steps) in enumerate(prompts, start=1):
        passes += [chunk(min(size, length - at), at, cache) for at in range(0, length, size)]
        passes += [step(length + i, cache) for i in range(steps)]
    assert sorted(told(*passes, settle_seconds=1e6)) == sorted(length for length, _, _ in prompts)


def test_length_log2_and_context_are_counted_per_new_sequence() -> None:
    agent = Agent(AgentConfig(), ScriptedJudge(), clock=Clock())
    agent.ingest([attached(), forward(row(64), row(512, max_position=1023), row(8, max_position=ABSENT))])
    snapshot = agent.snapshot()
    lengths = histogram(snapshot, metrics.SEQUENCE_LENGTH, *OWN)
    assert (lengths.count, lengths.sum) == (3, 584)
    assert value(snapshot, metrics.SEQUENCE_LOG2, *OWN) == 6 + 9 + 3
    assert histogram(snapshot, metrics.CONTEXT_UTILIZATION, *OWN).sum == pytest.approx(64 / 1024 + 1)


def test_a_watch_that_closes_tells_what_was_still_waiting() -> None:
    agent = Agent(AgentConfig(), ScriptedJudge(), clock=Clock())
    agent.ingest([attached(), chunk(64, 0), Detached(1, START)])
    assert histogram(agent.snapshot(), metrics.SEQUENCE_LENGTH, *OWN).count == 1


# --- drift


def lengths(count: int, scale: float = 1.0, seed: int = 3) -> list[int]:
    source = random.Random(seed)
    return [max(14, round(scale * source.lognormvariate(5.2, 0.8))) for _ in range(count)]


def reference(observed: list[int]) -> References:
    counts = [0] * (len(EDGES) + 1)
    for length in observed:
        counts[bucket_index(length, EDGES)] += 1
    pinned = Reference(model_version="r0", lengths=Lengths(counts=tuple(counts), sum_tokens=sum(observed)))
    return References(models={MODEL: pinned})


def drift(scale: float, per_slot: int, slots: int, *, pinned: bool = True) -> tuple[float, float, dict[object, float]]:
    """Events, bad events and the gauge after traffic of so many slots; a window has 24."""
    clock = Clock()
    config = AgentConfig(drift_window_seconds=240, drift_minimum_sequences=1000)
    references = reference(lengths(5000)) if pinned else None
    agent = Agent(config, ScriptedJudge(), references=references, clock=clock)
    agent.ingest([attached()])
    for slot in range(slots):
        clock.now = START + 10 * slot + 1
        agent.ingest([forward(*(row(n) for n in lengths(per_slot, scale, seed=slot)))])
    clock.now = START + 10 * slots
    snapshot = agent.snapshot()
    labels = ("length_drift", *OWN)
    events, bad = (value(snapshot, metric, *labels) for metric in (metrics.SLI_EVENTS, metrics.SLI_BAD_EVENTS))
    return events, bad, dict(values(snapshot, metrics.LENGTH_DRIFT))


def test_like_traffic_gives_good_windows_one_per_slot_once_a_window_is_full() -> None:
    events, bad, gauge = drift(1.0, per_slot=60, slots=30)
    assert (events, bad) == (7, 0)
    assert gauge[OWN] < 0.1


def test_lengths_that_double_are_an_octave_and_every_window_bad() -> None:
    events, bad, gauge = drift(2.0, per_slot=60, slots=26)
    assert (events, bad) == (3, 3)
    assert gauge[OWN] == pytest.approx(1.0, abs=0.1)


def test_too_few_sequences_are_insufficient_data_and_neither_good_nor_bad() -> None:
    assert drift(2.0, per_slot=40, slots=30) == (0, 0, {})


def test_a_window_that_is_not_over_yet_is_no_event_but_shows_its_distance() -> None:
    events, bad, gauge = drift(2.0, per_slot=100, slots=20)
    assert (events, bad) == (0, 0)
    assert gauge[OWN] > 0.9


def test_without_a_reference_nothing_is_judged() -> None:
    assert drift(2.0, per_slot=60, slots=30, pinned=False) == (0, 0, {})


def test_after_a_long_silence_the_window_begins_again() -> None:
    clock = Clock()
    config = AgentConfig(drift_window_seconds=240, drift_minimum_sequences=1)
    agent = Agent(config, ScriptedJudge(), references=reference(lengths(100)), clock=clock)
    agent.ingest([attached(), forward(row(100))])
    for clock.now in (START + 1e6, START + 1e6 + 100, START - 1e6, START - 1e6 + 100):
        assert value(agent.snapshot(), metrics.SLI_EVENTS, "length_drift", *OWN) == 0


def test_what_was_counted_before_a_long_silence_is_judged_no_more() -> None:
    clock = Clock()
    config = AgentConfig(drift_window_seconds=240, drift_minimum_sequences=1)
    agent = Agent(config, ScriptedJudge(), references=reference(lengths(100)), clock=clock)
    agent.ingest([attached()])
    for clock.now in (START + 1, START + 235, START + 1e6, START + 1e6 + 239):
        agent.ingest([forward(row(100))])
    assert value(agent.snapshot(), metrics.SLI_EVENTS, "length_drift", *OWN) == 0
    clock.now += 2
    assert value(agent.snapshot(), metrics.SLI_EVENTS, "length_drift", *OWN) == 1


def test_the_pinned_reference_is_published_as_a_histogram() -> None:
    agent = Agent(AgentConfig(), ScriptedJudge(), references=reference([100, 100, 5000]), clock=Clock())
    agent.ingest([attached(version=VERSION)])
    published = histogram(agent.snapshot(), metrics.REFERENCE_LENGTH, *OWN)
    assert (published.count, published.sum) == (3, 5200)
