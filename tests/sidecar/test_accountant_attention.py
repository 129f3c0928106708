"""Sampled attention: sums that merge, one event per padded pass, heads beside their reference."""

from __future__ import annotations

import math
import random

import pytest

from locant.observation import AttentionFacts, Detached, ForwardFacts, Observation
from locant.sidecar.accountant.heads import pooled
from locant.sidecar.config import AgentConfig
from locant.sidecar.references import LayerEntropy, Reference, References
from locant.sidecar.service import Agent
from locant_slo.catalogue import metrics
from locant_slo.findings import FailureMode
from locant_slo.snapshot import Snapshot
from support.sidecar_traffic import (
    MODEL,
    OWN,
    START,
    Clock,
    ScriptedJudge,
    StubVerdict,
    attached,
    attention,
    finding,
    forward,
    row,
    value,
    values,
)

LEAK = StubVerdict((finding("pads_attended", failure_mode=FailureMode.PADDING_LEAKAGE),))


def certain(observation: Observation) -> StubVerdict | None:
    """A judge that knows what padding is."""
    return LEAK if isinstance(observation, AttentionFacts) and observation.padding_mass_largest > 0.001 else None


def counted(
    *observations: AttentionFacts, config: AgentConfig | None = None, references: References | None = None
) -> Snapshot:
    agent = Agent(config or AgentConfig(), ScriptedJudge(certain), references=references, clock=Clock())
    agent.ingest([attached(), *observations])
    return agent.snapshot()


def sli(snapshot: Snapshot, indicator: str) -> tuple[float, float]:
    labels = (indicator, *OWN)
    return value(snapshot, metrics.SLI_EVENTS, *labels), value(snapshot, metrics.SLI_BAD_EVENTS, *labels)


def test_sums_over_rows_are_means_over_heads_and_divide_to_the_mean_row() -> None:
    snapshot = counted(attention(rows=10, entropy=1.5), attention(rows=30, entropy=2.5), attention(layer=1))
    rows = value(snapshot, metrics.ATTENTION_ROWS, "0", *OWN)
    assert rows == 40
    assert value(snapshot, metrics.ATTENTION_ENTROPY, "0", *OWN) / rows == pytest.approx(2.25)
    assert value(snapshot, metrics.ATTENTION_DISTANCE, "0", *OWN) / rows == pytest.approx(5.0)
    assert value(snapshot, metrics.ATTENTION_RELATIVE_ENTROPY, "0", *OWN) / rows == pytest.approx(0.1)
    assert value(snapshot, metrics.ATTENTION_LOG_DISTANCE, "0", *OWN) / rows == pytest.approx(1.5)
    assert value(snapshot, metrics.ATTENTION_MASS, "self_mass", "0", *OWN) / rows == pytest.approx(0.1)
    assert value(snapshot, metrics.ATTENTION_MASS, "padding_mass", "0", *OWN) == 0


def test_what_an_older_probe_does_not_say_is_not_taken_for_zero() -> None:
    older = counted(attention(relative_entropy=(), log_distance=(), window_mass=()))
    assert values(older, metrics.ATTENTION_RELATIVE_ENTROPY) == {}
    assert value(older, metrics.ATTENTION_ENTROPY, "0", *OWN) == pytest.approx(10.0)


def test_mass_beyond_a_window_and_on_other_requests_is_counted_beside_the_other_masses() -> None:
    snapshot = counted(attention(window_mass=(2.0, 4.0), cross_mass=(1.0, 0.0)))
    assert value(snapshot, metrics.ATTENTION_MASS, "window_mass", "0", *OWN) == pytest.approx(3.0)
    assert value(snapshot, metrics.ATTENTION_MASS, "cross_mass", "0", *OWN) == pytest.approx(0.5)


def test_a_padded_pass_is_one_event_however_many_layers_it_sends() -> None:
    clean = [attention(layer, padded_rows=4, padding_mass_largest=0.009, pass_number=1) for layer in range(3)]
    leaking = [attention(layer, padded_rows=4, padding_mass_largest=0.01, pass_number=2) for layer in range(3)]
    assert sli(counted(*clean, *leaking), "padding_attention") == (2, 1)


def test_one_leaking_layer_makes_a_pass_bad_once_even_when_others_came_first() -> None:
    masses = (0.0, 0.4, 0.0, 0.7)
    layers = [attention(layer, padded_rows=1, padding_mass_largest=mass) for layer, mass in enumerate(masses)]
    assert sli(counted(*layers), "padding_attention") == (1, 1)


def told(verdicts: dict[type, StubVerdict], *observations: Observation) -> tuple[float, float]:
    agent = Agent(AgentConfig(), ScriptedJudge(lambda seen: verdicts.get(type(seen))), clock=Clock())
    agent.ingest([attached(), *observations])
    return sli(agent.snapshot(), "padding_attention")


LEAKING = attention(padded_rows=1, padding_mass_largest=0.5)


def test_mass_on_what_may_be_text_is_no_event() -> None:
    assert told({}, forward(row(5)), LEAKING) == (0, 0)
    assert told({}, LEAKING, forward(row(5))) == (0, 0)


def test_a_leak_counts_once_whether_its_layer_or_its_pass_arrives_first() -> None:
    assert told({AttentionFacts: LEAK}, forward(row(5)), LEAKING) == (1, 1)
    assert told({ForwardFacts: LEAK}, LEAKING, LEAKING, forward(row(5))) == (1, 1)
    clean = attention(layer=1, padded_rows=1)
    assert told({ForwardFacts: LEAK}, LEAKING, clean, forward(row(5))) == (1, 1)


def test_a_pass_without_padding_is_no_event() -> None:
    assert sli(counted(attention(padding_mass_largest=0.9)), "padding_attention") == (0, 0)


def test_mass_that_is_no_number_is_neither_good_nor_bad() -> None:
    broken, clean = (attention(padded_rows=1, padding_mass_largest=mass, pass_number=1) for mass in (math.nan, 0.0))
    assert sli(counted(broken), "padding_attention") == (0, 0)
    assert sli(counted(broken, clean, broken), "padding_attention") == (1, 0)


def test_passes_of_two_probes_of_one_release_are_two_passes() -> None:
    agent = Agent(AgentConfig(), ScriptedJudge(), clock=Clock())
    agent.ingest([attached(1), attached(2), attention(padded_rows=1), attention(padded_rows=1, model_id=2)])
    assert sli(agent.snapshot(), "padding_attention") == (2, 0)


def test_rounding_below_zero_is_zero_and_no_number_is_refused() -> None:
    nan = float("nan")
    broken = attention(entropy=nan, padding_mass=(-1e-9,) * 4)
    snapshot = counted(broken, attention(rows=10, entropy=1.0))
    assert value(snapshot, metrics.ATTENTION_MASS, "padding_mass", "0", *OWN) == 0
    assert value(snapshot, metrics.ATTENTION_ENTROPY, "0", *OWN) == pytest.approx(10)
    assert value(snapshot, metrics.OBSERVATIONS_DROPPED, "invalid") == 1


# --- entropy stability

CONFIG = AgentConfig(entropy_minimum_rows=100, entropy_limit_nats=0.1)


def pinned(*means: float, rows: int = 1000) -> References:
    layer = LayerEntropy(totals=tuple(mean * rows for mean in means), rows=rows)
    return References(models={MODEL: Reference(model_version="r0", entropy={0: layer})})


def test_heads_are_judged_each_time_there_are_rows_enough() -> None:
    references = pinned(1.0, 1.05, 1.15, 0.5)
    snapshot = counted(*[attention(rows=50)] * 5, config=CONFIG, references=references)
    assert sli(snapshot, "entropy_stability") == (8, 4)
    assert value(snapshot, metrics.ENTROPY_HEADS_CHANGED, *OWN) == 2


def test_too_few_rows_on_either_side_are_no_event() -> None:
    too_few = counted(attention(rows=99), config=CONFIG, references=pinned(5.0, 5.0, 5.0, 5.0))
    assert sli(too_few, "entropy_stability") == (0, 0)
    assert not values(too_few, metrics.ENTROPY_HEADS_CHANGED)
    thin = counted(attention(rows=500), config=CONFIG, references=pinned(5.0, 5.0, 5.0, 5.0, rows=99))
    assert sli(thin, "entropy_stability") == (0, 0)


def test_a_reference_with_another_number_of_heads_is_not_compared() -> None:
    assert sli(counted(attention(rows=500), config=CONFIG, references=pinned(5.0)), "entropy_stability") == (0, 0)


# --- the debug tier

DEBUG = AgentConfig(debug_metrics=True)


def heat(layer: int, head: int, diagonal: float) -> AttentionFacts:
    mass = (diagonal, 0.0, 1 - diagonal, 1.0)
    return attention(layer, heat_head=head, heat_bins=2, heat=mass, heat_rows=(1, 2))


def test_heads_and_heat_are_exported_in_debug_only() -> None:
    assert not values(counted(heat(0, 1, 0.5)), metrics.HEAD_HEAT)
    assert not values(counted(heat(0, 1, 0.5)), metrics.HEAD_ENTROPY)
    snapshot = counted(heat(0, 1, 0.5), attention(padded_rows=5, padding_mass=(0.0, 1.0, 2.0, 5.0)), config=DEBUG)
    assert values(snapshot, metrics.HEAD_HEAT) == {
        ("0", "1", "0.00", "0.00", *OWN): 0.5,
        ("0", "1", "0.00", "0.50", *OWN): 0.0,
        ("0", "1", "0.50", "0.00", *OWN): 0.25,
        ("0", "1", "0.50", "0.50", *OWN): 0.5,
    }
    assert values(snapshot, metrics.HEAD_ENTROPY) == {("0", str(head), *OWN): pytest.approx(1.0) for head in range(4)}
    padding = values(snapshot, metrics.HEAD_PADDING_MASS)
    assert [padding["0", str(head), MODEL, OWN[1]] for head in range(4)] == pytest.approx([0.0, 0.2, 0.4, 1.0])


def test_only_the_head_in_focus_has_a_heat_map() -> None:
    clock = Clock()
    agent = Agent(DEBUG, ScriptedJudge(), clock=clock)
    agent.ingest([attached(), heat(0, 1, 0.5)])
    agent.snapshot()
    agent.ingest([heat(1, 3, 0.5)])
    assert {labels[:2] for labels in values(agent.snapshot(), metrics.HEAD_HEAT)} == {("1", "3")}


def test_a_map_with_what_is_no_number_leaves_the_one_shown_as_it_was() -> None:
    for broken in heat(0, 1, math.nan), heat(1, 2, math.inf):
        shown = values(counted(heat(0, 1, 0.5), broken, config=DEBUG), metrics.HEAD_HEAT)
        assert shown == values(counted(heat(0, 1, 0.5), config=DEBUG), metrics.HEAD_HEAT)


@pytest.mark.parametrize("seed", range(3))
def test_a_fine_map_is_pooled_without_losing_mass_or_rows(seed: int) -> None:
    chance = random.Random(seed)
    mass = tuple(float(chance.randrange(1 << 20)) for _ in range(32 * 32))
    rows = tuple(chance.randrange(9) for _ in range(32))
    heat, lines = pooled(mass, rows, 2)
    assert (len(heat), len(lines)) == (256, 16)
    assert (sum(heat), sum(lines)) == (sum(mass), sum(rows))
    assert heat[16 * 3 + 5] == sum(mass[32 * query + key] for query in (6, 7) for key in (10, 11))


@pytest.mark.parametrize(("bins", "shown"), [(32, 16), (64, 16), (16, 16), (3, 3), (24, 12), (33, 11), (17, 0)])
def test_no_map_has_more_than_256_series(bins: int, shown: int) -> None:
    fine = attention(heat_head=0, heat_bins=bins, heat=(0.25,) * bins**2, heat_rows=(1,) * bins)
    found = values(counted(fine, config=DEBUG), metrics.HEAD_HEAT)
    assert len(found) == shown**2
    assert set(found.values()) <= {0.25 * -(-bins // 16)}


def test_recent_passes_outweigh_old_ones() -> None:
    snapshot = counted(*[attention(entropy=1.0)] * 50, *[attention(entropy=3.0)] * 50, config=DEBUG)
    assert values(snapshot, metrics.HEAD_ENTROPY)["0", "0", MODEL, OWN[1]] > 2.9


def test_a_closed_watch_takes_its_heads_along() -> None:
    agent = Agent(AgentConfig(debug_metrics=True, detach_grace_seconds=0), ScriptedJudge(), clock=Clock())
    agent.ingest([attached(), heat(0, 1, 0.5)])
    agent.snapshot()
    agent.ingest([Detached(1, START)])
    assert not values(agent.snapshot(), metrics.HEAD_HEAT)
