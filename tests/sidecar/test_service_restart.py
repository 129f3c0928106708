"""A restart at any moment changes no statistic: what is saved is all that counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import ForwardFacts
from locant.sidecar.config import AgentConfig
from locant.sidecar.references import LayerEntropy, Lengths, Reference, References, Sum
from locant.sidecar.saved import SavedState
from locant.sidecar.service import Agent
from locant_slo.catalogue import metrics
from support.sidecar_traffic import MODEL, Clock, ScriptedJudge, attached, attention, canary, forward, row, values

REFERENCE = Reference(
    model_version="r0",
    canary={f"case{n}": True for n in range(6)},
    lengths=Lengths(counts=(0,) * 10 + (5000,) + (0,) * 18, sum_tokens=1e6),
    loss={"early": Sum(total=1.0, count=10)},
    entropy={0: LayerEntropy(totals=(200.0,) * 4, rows=100)},
)
CONFIG = AgentConfig(drift_minimum_sequences=1, entropy_minimum_rows=60)
EMPTY = SavedState()
GAUGES = (metrics.REGRESSION_LOG_EVIDENCE, metrics.LENGTH_DRIFT, metrics.ENTROPY_HEADS_CHANGED)

SEEN = (
    st.integers(1, 5000).map(lambda tokens: forward(row(tokens), cache_id=0))
    | st.builds(
        lambda layer, rows, nats: attention(layer, rows=rows, entropy=nats),
        st.integers(0, 1),
        st.integers(1, 60),
        st.sampled_from([0.5, 2.0, 3.0]),
    )
    | st.builds(
        lambda case, right, nats, last: canary(f"case{case}", right, loss_nats=(("early", nats, 3),), last_of_run=last),
        st.integers(0, 5),
        st.booleans(),
        st.floats(0, 5),
        st.booleans(),
    )
)


@settings(max_examples=40)
@given(st.lists(st.tuples(SEEN, st.integers(0, 7200)), min_size=1, max_size=30), st.data())
def test_a_restart_at_any_moment_changes_no_statistic(seen, data):
    clock = Clock()

    def started(saved: SavedState = EMPTY) -> Agent:
        agent = Agent(CONFIG, ScriptedJudge(), references=References(models={MODEL: REFERENCE}), clock=clock)
        agent.restore(saved)
        agent.ingest([attached()])
        return agent

    restart = data.draw(st.integers(0, len(seen) - 1))
    whole, agent = started(), started()
    for number, (observation, gap) in enumerate(seen):
        clock.now += gap
        if number == restart:
            agent = started(agent.saved())
        whole.ingest([observation])
        agent.ingest([observation])
    assert agent.saved() == whole.saved()
    (release,) = whole.saved().releases
    lengths = [observation.rows[0].real for observation, _ in seen if isinstance(observation, ForwardFacts)]
    assert (sum(release.drift.all_counts), release.drift.all_tokens) == (len(lengths), sum(lengths))
    assert sum(map(sum, (*release.drift.slots, release.drift.current))) <= len(lengths)
    for gauge in GAUGES:
        assert values(agent.snapshot(), gauge) == values(whole.snapshot(), gauge)


def agent_of(saved: SavedState = EMPTY) -> Agent:
    agent = Agent(CONFIG, ScriptedJudge(), references=References(models={MODEL: REFERENCE}), clock=Clock())
    agent.restore(saved)
    agent.ingest([attached()])
    return agent


@pytest.mark.parametrize(("nats", "changed"), [(3.0, 4), (2.0, 0)])
def test_a_layer_is_judged_by_the_rows_on_both_sides_of_a_restart(nats, changed):
    agent = agent_of()
    agent.ingest([attention(rows=59, entropy=nats)])
    again = agent_of(agent.saved())
    again.ingest([attention(rows=1, entropy=nats)])
    assert values(again.snapshot(), metrics.ENTROPY_HEADS_CHANGED) == {(MODEL, "r1"): changed}


@pytest.mark.parametrize(
    "other",
    [
        {"current": (1, 2)},
        {"slots": ((1, 2),)},
        {"all_counts": (1, 2)},
        {"slots": ((1,) * 29,) * 25},
    ],
)
def test_a_window_on_other_edges_or_of_more_slots_says_nothing_here(other):
    (release,) = agent_of().saved().releases
    foreign = replace(release, drift=replace(release.drift, **other))
    (kept,) = agent_of(SavedState(releases=(foreign,))).saved().releases
    assert kept.drift == release.drift


def test_a_layer_whose_sums_do_not_fit_each_other_is_left_out():
    agent = agent_of()
    agent.ingest([attention(rows=1)])
    (release,) = agent.saved().releases
    broken = replace(release, entropy={0: replace(release.entropy[0], window=(1.0,)), 1: release.entropy[0]})
    (kept,) = agent_of(SavedState(releases=(broken,))).saved().releases
    assert kept.entropy == {1: release.entropy[0]}
