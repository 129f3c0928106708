"""A synthetic day of traffic with a known truth, and laws that hold for any traffic."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import CanaryFacts, ForwardFacts, Observation, StreamFacts
from locant.sidecar.config import AgentConfig
from locant.sidecar.references import Reference, References
from locant.sidecar.service import Agent
from locant_slo.catalogue import metrics
from locant_slo.indicators import INDICATORS
from support.sidecar_traffic import (
    MODEL,
    OWN,
    START,
    Clock,
    ScriptedJudge,
    StubVerdict,
    attached,
    attention,
    canary,
    finding,
    forward,
    histogram,
    row,
    value,
    values,
)

HOURS = 24
REQUESTS_PER_HOUR = 50
CASES = 20


class Day:
    """Requests of two rows: a prompt in chunks, some padding, decode steps; each tenth goes wrong. Keeps the truth."""

    def __init__(self) -> None:
        self.truth: Counter[str] = Counter()
        self._random = random.Random(11)
        self._passes = 0

    def hour(self, hour: int) -> Iterator[Observation]:
        for request in range(REQUESTS_PER_HOUR):
            yield from self._request(hour, hour * REQUESTS_PER_HOUR + request + 1)
        for case in range(CASES):
            right = not (hour == 13 and case < 9)
            self.truth["case"] += 1
            self.truth["case bad"] += not right
            yield canary(f"case {case}", right, last_of_run=case == CASES - 1, time=START + 3600 * hour)

    def _request(self, hour: int, cache: int) -> Iterator[Observation]:
        long, short = self._random.randint(200, 900), self._random.randint(20, 200)
        chunks = [(at, min(256, long - at)) for at in range(0, long, 256)]
        for at, size in chunks:
            real = max(min(short - at, size), 0)
            rows = (row(size, before=at), row(real, before=at, right_pads=size - real))
            yield self._pass("prefill", size, rows, hour, cache)
        for step in range(self._random.randint(1, 5)):
            rows = (row(1, before=long + step), row(1, before=short + step))
            yield self._pass("decode", 1, rows, hour, cache, broken=cache % 10 == 0 and step == 0)
        self.truth["sequences"] += 2
        self.truth["lengths"] += long + short

    def _pass(self, phase: str, width: int, rows: tuple, hour: int, cache: int, broken: bool = False) -> ForwardFacts:
        self._passes += 1
        live = [one for one in rows if one.real > 0]
        seconds = 0.2 if hour == 13 and phase == "decode" else 0.05
        self.truth["passes"] += 1
        self.truth["rows"] += len(live)
        self.truth["real"] += sum(one.real for one in rows)
        self.truth["computed"] += width * len(rows)
        self.truth["chunks"] += len(live) * (phase == "decode")
        self.truth["broken"] += broken
        self.truth["slow"] += sum(one.real for one in live if seconds / one.real > 0.1)
        return forward(
            *rows,
            phase=phase,
            queries=width,
            cache_id=cache,
            pass_number=self._passes,
            duration_seconds=seconds,
            declared=broken,
            time=START + 3600 * hour,
        )


def broken_rows(observation: Observation) -> StubVerdict | None:
    """The second row of a pass that the day marked as broken."""
    if not (isinstance(observation, ForwardFacts) and observation.declared):
        return None
    second = frozenset({1})
    return StubVerdict((finding(),), bad_rows=second, streaming_bad_rows=second)


def test_a_day_of_traffic_is_counted_exactly() -> None:
    clock, day = Clock(), Day()
    reference = Reference(model_version="r0", canary={f"case {case}": True for case in range(CASES)})
    references = References(models={MODEL: reference})
    agent = Agent(AgentConfig(), ScriptedJudge(broken_rows), references=references, clock=clock)
    agent.ingest([attached()])
    for hour in range(HOURS):
        clock.now = START + 3600 * hour
        agent.ingest(day.hour(hour))
    snapshot, truth = agent.snapshot(), day.truth
    expected = {
        "position_integrity": (truth["rows"], truth["broken"]),
        "position_anomaly": (truth["rows"], 0),
        "streaming_chunks": (truth["chunks"], truth["broken"]),
        "padding_ratio": (truth["computed"], truth["computed"] - truth["real"]),
        "latency_per_token": (truth["real"], truth["slow"]),
        "sequence_correctness": (truth["case"], truth["case bad"]),
        "positional_regression": (truth["case"], truth["case bad"]),
    }
    for indicator in INDICATORS:
        counted = tuple(
            value(snapshot, metric, indicator.id, *OWN) for metric in (metrics.SLI_EVENTS, metrics.SLI_BAD_EVENTS)
        )
        assert counted == expected.get(indicator.id, (0, 0)), indicator.id
    assert truth["broken"] == 120
    assert truth["slow"] > 0
    lengths = histogram(snapshot, metrics.SEQUENCE_LENGTH, *OWN)
    assert (lengths.count, lengths.sum) == (truth["sequences"], truth["lengths"])
    assert sum(values(snapshot, metrics.FORWARD_PASSES).values()) == truth["passes"]
    assert value(snapshot, metrics.FINDINGS, "F2", "page", "offset_ledger", *OWN) == truth["broken"]
    assert [one.count for one in snapshot.findings] == [truth["broken"]]
    assert sum(values(snapshot, metrics.OBSERVATIONS_DROPPED).values()) == 0
    assert value(snapshot, metrics.SERIES_REFUSED) == 0


# --- laws for any traffic

row_sets = st.frozensets(st.integers(0, 4), max_size=3)
verdicts = st.builds(StubVerdict, st.just(()), row_sets, row_sets, row_sets)
rows = st.builds(
    row, st.integers(0, 2000), before=st.integers(0, 5000), left_pads=st.integers(0, 50), seen=st.booleans()
)
passes = st.builds(
    lambda some, phase, fields: forward(*some, phase=phase, **fields),
    st.lists(rows, max_size=4),
    st.sampled_from(["prefill", "decode", "encode", "nonsense"]),
    st.fixed_dictionaries(
        {
            "duration_seconds": st.floats(allow_nan=True, allow_infinity=True),
            "cache_id": st.integers(0, 3),
            "cache_bytes": st.integers(-10, 10**12),
            "error": st.sampled_from(["", "", "IndexError"]),
        }
    ),
)
layers = st.builds(
    lambda mass, padded, number: attention(padding_mass_largest=mass, padded_rows=padded, pass_number=number),
    st.floats(0, 1),
    st.integers(0, 3),
    st.integers(0, 4),
)
cases = st.builds(
    CanaryFacts,
    st.just(1),
    st.just(START),
    st.sampled_from("abc"),
    st.just("copy"),
    st.just("up_to_1"),
    st.booleans(),
    st.booleans(),
    st.none() | st.booleans(),
    st.just((("begin", 1.0, 2),)) | st.just((("begin", float("inf"), 2),)),
    st.booleans(),
)
streams = st.builds(StreamFacts, st.just(1), st.just(START), st.integers(0, 9), st.integers(0, 9))


@given(st.lists(st.tuples(passes | layers | cases | streams, verdicts), max_size=25))
@settings(max_examples=50)
def test_events_are_never_fewer_than_bad_ones_and_no_counter_falls(seen: list[tuple[Observation, StubVerdict]]) -> None:
    said = {id(observation): verdict for observation, verdict in seen}
    reference = Reference(model_version="r0", canary={"a": True, "b": False})
    judge = ScriptedJudge(lambda observation: said.get(id(observation)))
    agent = Agent(AgentConfig(), judge, references=References(models={MODEL: reference}), clock=Clock())
    agent.ingest([attached()])
    before = values(agent.snapshot(), metrics.SLI_EVENTS)
    for observation, _ in seen:
        agent.ingest([observation])
        snapshot = agent.snapshot()
        events, bad = values(snapshot, metrics.SLI_EVENTS), values(snapshot, metrics.SLI_BAD_EVENTS)
        assert all(0 <= bad[labels] <= events[labels] for labels in events)
        assert all(events[labels] >= count for labels, count in before.items())
        before = events
    assert value(agent.snapshot(), metrics.OBSERVATIONS_DROPPED, "decode_error") == 0


@given(st.lists(st.floats(1, 1e4), min_size=1, max_size=20))
@settings(max_examples=50)
def test_the_order_of_windows_and_snapshots_changes_no_count(gaps: list[float]) -> None:
    def counts(reading: bool) -> dict[tuple[str, ...], float]:
        clock = Clock()
        agent = Agent(AgentConfig(drift_window_seconds=2400, drift_minimum_sequences=1), ScriptedJudge(), clock=clock)
        agent.ingest([attached()])
        for gap in gaps:
            clock.now += gap
            agent.ingest([forward(row(100))])
            if reading:
                agent.snapshot()
        return values(agent.snapshot(), metrics.SLI_EVENTS)

    assert counts(True) == pytest.approx(counts(False))
