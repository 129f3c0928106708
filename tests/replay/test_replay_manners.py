"""Replay never shows: not in the outputs, not in the traffic, not while the model works, not beyond its share."""

from __future__ import annotations

import sys
import threading
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_bed import batch, build, decode, prefill, replaying

import locant
from locant.replay.budget import Budget
from locant.replay.options import ReplayOptions
from locant.replay.replayer import replays
from locant.replay.sample import request_of
from locant.replay.traffic import Traffic
from locant_slo.catalogue import metrics
from locant_slo.errors import ConfigError


def passes(watch) -> float:
    families = watch.snapshot().families
    return sum(sample.value for one in families if one.metric is metrics.FORWARD_PASSES for sample in one.samples)


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert"])
def test_live_outputs_stay_bit_identical_and_no_replay_counts_as_traffic(family):
    bare, model = build(family), build(family)
    side = "right" if family == "bert" else "left"
    with replaying(model) as hands:
        for seed in range(4):
            expected, _ = prefill(bare, 3, 15, side, seed)
            found, _ = prefill(model, 3, 15, side, seed)
            assert torch.equal(found[0], expected[0])
            state = torch.random.get_rng_state()
            assert hands.later()
            assert torch.equal(torch.random.get_rng_state(), state)
        hands.watch.flush()
        assert hands.facts
        assert passes(hands.watch) == 4
        assert not model.training


def test_nothing_is_replayed_while_a_pass_is_under_way():
    model = build("llama")
    inside, go_on = threading.Event(), threading.Event()

    def wait(module, args):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            go_on.wait(10)

    with replaying(model) as hands:
        prefill(model, 2, 12, "left", 1)
        model.model.layers[0].register_forward_pre_hook(wait)
        live = threading.Thread(target=prefill, args=(model, 2, 12, "left", 2))
        live.start()
        assert inside.wait(10)
        assert not hands.later(1000)
        go_on.set()
        live.join()
        assert not hands.later(0.0)
        prefill(model, 2, 12, "left", 3)
        assert hands.later()


def test_a_replay_stops_between_its_kinds_when_a_pass_begins():
    model = build("llama")
    with replaying(model) as hands:
        prefill(model, 2, 12, "left", 1)
        live = iter([False, False, True, True, True])
        hands.now[0] += 1
        sample = hands.replay._sampler.take()
        request = request_of(sample, 0, 2048)
        kinds = [one[0] for one in replays(request, hands.replay._target, ReplayOptions(), lambda: not next(live))]
        assert kinds == ["alone", "shifted"]


def test_a_pass_that_was_torn_off_does_not_block_replay_for_ever():
    traffic = Traffic(lambda: 0.0)

    def torn() -> None:
        assert traffic.enter(sys._getframe())
        assert traffic.busy

    torn()
    assert not traffic.busy


def test_the_budget_bounds_replay_on_an_injected_clock():
    model = build("llama")
    with replaying(model) as hands:
        budget = hands.replay.budget
        budget.spend(budget.seconds)
        prefill(model, 2, 12, "left", 1)
        assert budget.seconds == 0.0
        hands.replay._cost_seconds = 0.5
        assert not hands.later()
        budget.earn(49.0)
        assert not hands.later()
        budget.earn(2.0)
        assert hands.later()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.01, 3))), st.floats(0.001, 1))
def test_what_is_spent_never_exceeds_the_share_by_more_than_one_replay(rounds, share):
    budget, earned, spent, last = Budget(share, 2.0), 0.0, 0.0, 0.0
    for live, cost in rounds:
        budget.earn(live)
        earned += live
        if budget.affords(cost):
            budget.spend(cost)
            spent, last = spent + cost, max(last, cost)
    assert spent <= share * earned + last + 1e-6


def test_off_by_default_no_hook_is_added_and_nothing_is_loaded():
    model = build("llama")
    with locant.watch(model) as watch:
        watched = len(model._forward_hooks), len(model._forward_pre_hooks)
        assert watch.agent.host._chores == ()
    with locant.watch(model, replay=True) as watch:
        assert (len(model._forward_hooks), len(model._forward_pre_hooks)) == (watched[0] + 1, watched[1] + 1)
        assert len(watch.agent.host._chores) == 1
    assert not model._forward_hooks
    assert not model._forward_pre_hooks
    assert watch.agent.host._chores == ()


def test_closing_the_agent_alone_takes_replay_off_too():
    model = build("llama")
    watch = locant.watch(model, replay=True)
    watch.agent.close()
    assert not model._forward_hooks
    assert watch.agent.host._chores == ()


def test_the_switch_alone_replays_on_the_agents_thread():
    model = build("llama")
    threads = set()
    model.register_forward_pre_hook(lambda module, args: threads.add(threading.current_thread().name))
    with locant.watch(model, replay=ReplayOptions(share=1.0, idle_seconds=0.0)) as watch:
        deadline = time.monotonic() + 30
        while len(threads) < 2 and time.monotonic() < deadline:
            decode(model, 2, 12, 1)
            time.sleep(0.1)
    assert threads == {"MainThread", "locant-agent"}
    assert [one for one in watch.findings() if one.check == "replay_differs"] == []


def test_weights_that_changed_since_are_not_compared_with():
    model = build("llama")
    with replaying(model) as hands:
        prefill(model, 2, 12, "left", 1)
        with torch.no_grad():
            model.lm_head.weight.mul_(2.0)
        assert hands.later()
        assert hands.replay.passed_over == 1
        assert hands.facts == []


def test_a_model_in_training_is_not_sampled():
    model = build("llama").train()
    with replaying(model) as hands:
        prefill(model, 2, 12, "left", 1)
        assert not hands.later()


def test_too_long_and_too_old_requests_are_passed_over():
    model = build("llama")
    with replaying(model, longest_tokens=16) as hands:
        prefill(model, 1, 17, "left", 1)
        assert not hands.later()
        prefill(model, 1, 12, "left", 1)
        assert hands.later(1e6)
        assert hands.facts == []


def test_an_error_in_a_replay_is_counted_and_ends_replay_not_the_model():
    model = build("llama")
    with replaying(model, strict=False) as hands:

        def refuse(module, args):
            if threading.current_thread().name == "replay":
                raise RuntimeError("no")

        model.register_forward_pre_hook(refuse)
        for seed in range(8):
            prefill(model, 2, 12, "left", seed)
            replayer = threading.Thread(target=hands.later, name="replay")
            replayer.start()
            replayer.join()
        assert hands.replay.errors == 5
        prefill(model, 2, 12, "left", 1)


def test_inference_mode_traffic_is_replayed():
    model = build("llama")
    ids, mask = batch(3, 14, "right", 1)
    with replaying(model) as hands:
        with torch.inference_mode():
            model(input_ids=ids, attention_mask=mask)
        assert hands.later()
        assert hands.replay.done["alone"] == 1
        assert hands.findings() == []


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ConfigError, match="share"):
        ReplayOptions(share=share)
