"""A probe on a real model keeps to its budget, by a clock that the test moves, and says what it left out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from locant.observation import AttentionFacts, ForwardFacts, ProbeHealth
from locant.probe import looks
from locant.probe.attention import fastest
from locant.probe.attention.engine import row_statistics
from locant.probe.governor import WINDOW_SECONDS
from locant.probe.probe import Probe, ProbeOptions
from locant.wire.channel import Channel
from probe.tinies import causal, tokens

pytest.importorskip("transformers")


class Clock:
    """Stands still but for what it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Probe, Channel, Clock]]:
    """A tiny model whose pass takes `forward` seconds and whose attention takes `layer` seconds to look at."""
    clock = Clock()

    def build(forward: float, layer: float, **options: Any) -> tuple[Any, Probe, Channel, Clock]:
        model = causal("llama", attn="sdpa")

        def slow(*_: Any) -> None:
            clock.now += forward

        def measured(*args: Any, **kwargs: Any) -> torch.Tensor:
            clock.now += layer
            return row_statistics(*args, **kwargs)

        model.lm_head.register_forward_hook(slow)
        monkeypatch.setattr(fastest, "row_statistics", measured)
        channel = Channel(10_000)
        chosen = ProbeOptions(strict=True, attention_rate=1.0, **options)
        probe = Probe(model, model_id=1, channel=channel, options=chosen, clock=lambda: 0.0, timer=clock)
        probe.attach()
        return model, probe, channel, clock

    return build


def test_a_probe_that_wants_every_pass_takes_what_its_budget_allows(timed: Any) -> None:
    model, probe, _, clock = timed(forward=0.1, layer=0.004)
    ids, spent, at = tokens(1, 8), [], []
    for _ in range(400):
        model(input_ids=ids, use_cache=False)
        spent.append(probe.governor.spent_seconds)
        at.append(clock.now)
    after = next(i for i, seconds in enumerate(at) if seconds > 2)
    for start, end in itertools.combinations(range(after, 400, 7), 2):
        if at[end] - at[start] <= WINDOW_SECONDS:
            assert spent[end] - spent[start] <= 2 * 0.01 * WINDOW_SECONDS
    assert 0.005 < (spent[-1] - spent[after]) / (at[-1] - at[after]) < 0.0115
    assert probe.governor.forward_seconds == pytest.approx(400 * 0.1)
    assert probe.governor.looks["budget"] > 0
    probe.close()


def test_time_inside_looks_is_no_forward_time_and_the_health_report_says_both(timed: Any) -> None:
    model, probe, channel, clock = timed(forward=0.5, layer=0.01, overhead_budget=None)
    for _ in range(5):
        model(input_ids=tokens(1, 8), use_cache=False)
    probe.close()
    report = [item for item in channel.drain(1000) if isinstance(item, ProbeHealth)][-1]
    assert report.forward_seconds == pytest.approx(2.5)
    assert report.capture_seconds == pytest.approx(clock.now - 2.5)
    assert report.capture_seconds > 0
    assert dict(report.looks) == {"budget": 0, "step": 0, "taken": 8}
    assert dict(report.requests) == {"looked": 0, "refused": 0, "expired": 0}


def test_attention_that_was_not_looked_at_for_long_is_not_covered(timed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "_FRESH_PASSES", 10)
    model, probe, channel, _ = timed(forward=5.0, layer=0.01, overhead_budget=1e-9)
    for _ in range(30):
        model(input_ids=tokens(1, 8), use_cache=False)
    probe.close()
    covered = ["attention" in item.seen for item in channel.drain(1000) if isinstance(item, ForwardFacts)]
    assert covered == [True] * 15 + [False] * 15


def test_on_the_real_clock_a_tiny_model_is_looked_at_in_few_of_the_passes_that_are_wanted() -> None:
    model = causal("llama", attn="sdpa")
    taken = {}
    for budget in (0.01, None):
        options = ProbeOptions(strict=True, attention_rate=1.0, rotary_rate=0.0, overhead_budget=budget)
        probe = Probe(model, model_id=1, channel=Channel(10_000), options=options)
        probe.attach()
        for _ in range(150):
            model(input_ids=tokens(1, 8), use_cache=False)
        taken[budget] = probe.governor.looks["taken"]
        assert sum(probe.governor.looks.values()) == 150
        probe.close()
    assert taken[None] == 150
    assert 3 <= taken[0.01] < 30


def test_a_pass_that_the_agent_asks_for_is_looked_at_in_every_layer_within_the_budget(timed: Any) -> None:
    model, probe, channel, _ = timed(forward=0.2, layer=0.004)
    ids = tokens(20, 32)
    for _ in range(60):
        model(input_ids=ids, use_cache=False)
    assert probe.wishes.ask("prefill")
    assert not probe.wishes.ask("prefill")
    for _ in range(60):
        model(input_ids=ids, use_cache=False)
    probe.close()
    sent = channel.drain(10_000)
    [whole] = [one for one in sent if isinstance(one, ForwardFacts) and one.whole]
    layers = [one for one in sent if isinstance(one, AttentionFacts) and one.pass_number == whole.pass_number]
    assert whole.pass_number > 60
    assert [one.layer for one in layers] == list(range(probe.profile.layers))
    assert all(one.rows >= 20 and one.heat_bins == 32 and len(one.entropy) == probe.profile.heads for one in layers)
    assert {one.heat_head for one in layers} <= set(range(probe.profile.heads))
    assert all(len(one.visibility) == 7 and one.mask for one in layers)
    assert (len(whole.positions), whole.position_columns) == (20, tuple(range(32)))
    assert not any(one.visibility or one.mask for one in sent if isinstance(one, AttentionFacts) and one not in layers)
    report = [one for one in sent if isinstance(one, ProbeHealth)][-1]
    assert dict(report.requests) == {"looked": 1, "refused": 1, "expired": 0}


def test_a_decode_step_too_short_for_a_whole_look_gets_one_that_fits_and_the_request_expires(timed: Any) -> None:
    model, probe, channel, _ = timed(forward=1.0, layer=0.06)
    with torch.no_grad():
        cache = model(input_ids=tokens(1, 8), use_cache=True).past_key_values
        for _ in range(10):
            model(input_ids=tokens(1, 1), past_key_values=cache, use_cache=True)
        assert probe.wishes.ask("decode")
        for _ in range(70):
            model(input_ids=tokens(1, 1), past_key_values=cache, use_cache=True)
    probe.close()
    sent = channel.drain(10_000)
    assert not any(one.whole for one in sent if isinstance(one, ForwardFacts))
    assert probe.wishes.counts == {"looked": 0, "refused": 0, "expired": 1}


@pytest.mark.parametrize("options", [{"overhead_budget": 0.0}, {"inside": False}])
def test_where_attention_is_never_looked_at_the_agent_asks_in_vain(options: dict[str, Any]) -> None:
    probe = Probe(causal("llama"), model_id=1, channel=Channel(), options=ProbeOptions(**options))
    assert not probe.wishes.ask("prefill")
    assert probe.wishes.counts["refused"] == 1


@pytest.mark.parametrize("rows", [1, 8, 48])
def test_as_many_rows_are_looked_at_as_were_asked_for(rows: int) -> None:
    model, channel = causal("llama", attn="sdpa"), Channel()
    options = ProbeOptions(attention_rate=1.0, attention_rows=rows, overhead_budget=None, strict=True)
    probe = Probe(model, model_id=1, channel=channel, options=options)
    probe.attach()
    with torch.no_grad():
        model(tokens(1, 60))
    probe.close()
    assert {layer.rows for layer in channel.drain() if isinstance(layer, AttentionFacts)} == {rows}
