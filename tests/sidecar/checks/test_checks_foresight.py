"""Looking ahead changes nothing: with it and without, every verdict, every count and every finding is the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from checks_scenarios import FLOWS, draw, faults_of, run
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import ABSENT, RotaryFacts, RowFacts, RowField
from locant.sidecar.config import AgentConfig
from locant.sidecar.judge import Judge
from locant.sidecar.service import Agent
from locant_slo.snapshot import HistogramSample
from support.sidecar_traffic import PROFILE, START, Clock, attached, attention, forward, row

UNSEEN = dict.fromkeys(RowFacts._fields[RowField.WINDOW_EXCESS :], ABSENT)


class Plodding(Judge):
    """Judges every pass in full."""

    def _is_plain(self, facts, model):
        return False


def without_step(verdict):
    return replace(verdict, step=None)


def both(observations):
    """Verdicts with and without foresight, and how many passes were not looked at."""
    quick, slow = Judge(), Plodding()
    skipped = 0
    for number, one in enumerate(observations):
        ahead, plain = quick.judge(one), slow.judge(one)
        assert without_step(ahead) == plain, (number, one)
        skipped += ahead.step is not None
    return skipped


def decoding(steps, *, caches=1, start=5, rows=2, profile=PROFILE, twist=lambda step, facts: facts):
    """A prompt and then so many decode steps in each of some caches, in turn."""
    sent = [attached(profile=profile)]
    for number in range((steps + 1) * caches):
        step, cache = divmod(number, caches)
        own = [
            row(1 if step else start + 3 * i, before=(start + 3 * i + step - 1) if step else 0, **UNSEEN)
            for i in range(rows)
        ]
        own = [one._replace(first_token_hash=hash((number, i)) % 2**31) for i, one in enumerate(own)]
        facts = forward(
            *own,
            phase="decode" if step else "prefill",
            cache_id=cache + 1,
            pass_number=number,
            time=START + number / 10,
            cache_bytes=1024 * rows * (start + step),
            duration_seconds=0.01 + (number % 7) / 100,
        )
        sent.append(twist(step, facts))
    return sent


def test_a_steady_decode_loop_is_looked_at_once_in_many_steps():
    assert both(decoding(300)) > 280


@pytest.mark.parametrize("caches", [2, 7])
def test_loops_that_run_side_by_side_as_well(caches):
    assert both(decoding(80, caches=caches)) > 70 * caches


@given(
    limit=st.integers(10, 200),
    scheme=st.sampled_from(["rope", "learned", "alibi"]),
    window=st.none() | st.integers(4, 100),
    start=st.integers(1, 60),
    caches=st.integers(1, 3),
)
@settings(max_examples=40)
def test_every_limit_is_noticed_at_the_step_that_crosses_it(limit, scheme, window, start, caches):
    learned = scheme == "learned"
    profile = replace(
        PROFILE,
        scheme=scheme,
        absolute=learned,
        trained_tokens=limit,
        table_rows=limit if learned else None,
        window=window,
    )
    both(decoding(150, start=start, caches=caches, profile=profile))


TWISTS = {
    "position": lambda one: one._replace(first_position=one.first_position + 1, last_position=one.last_position + 1),
    "offset": lambda one: one._replace(first_offset=3, last_offset=3),
    "cropped": lambda one: one._replace(real_before=max(one.real_before - 2, 0), cache_tokens=one.cache_tokens - 2),
    "finished": lambda one: one._replace(unmasked_left_pads=1, unmasked_right_pads=1),
    "visible": lambda one: one._replace(window_excess=0, future_visible=2, pads_visible=1),
    "float32": lambda one: one._replace(max_position=2**24),
    "hidden": lambda one: one._replace(first_position=ABSENT, last_position=ABSENT, first_offset=ABSENT),
}


@given(st.dictionaries(st.integers(1, 120), st.sampled_from(sorted(TWISTS)), max_size=6), st.booleans())
@settings(max_examples=60)
def test_whatever_interrupts_a_loop_is_judged_in_full(twists, all_rows):
    def twist(step, facts):
        if step not in twists:
            return facts
        first, *others = facts.rows
        change = TWISTS[twists[step]]
        return replace(facts, rows=(change(first), *(map(change, others) if all_rows else others)))

    both(decoding(130, twist=twist))


@given(st.dictionaries(st.integers(1, 120), st.integers(0, 6), max_size=8))
@settings(max_examples=60)
def test_passes_lost_sampled_masked_failed_or_of_another_time_change_nothing(events):
    def twist(step, facts):
        changed = {
            0: {"rotary": RotaryFacts("float32", 0.0, parameters_hash=step % 2)},
            1: {"error": "IndexError"},
            2: {"time": facts.time + 1e6},
            3: {"masked": True, "mask_rank": 2},
            4: {"table_growths": ((100, 101),)},
            5: {"pass_number": facts.pass_number + 1000},
            6: {"queries": 3},
        }
        return replace(facts, **changed[events[step]]) if step in events else facts

    both(decoding(130, twist=twist))


def test_attention_is_read_the_same_way_before_and_after_its_pass():
    sent = decoding(60)
    mixed = []
    for one in sent:
        number = getattr(one, "pass_number", 0)
        told = attention(pass_number=number, padded_rows=3, padding_mass_largest=0.4, cross_mass=(0.5,) * 4)
        mixed += [told, one] if number % 3 == 0 else [one, told]
    both(mixed)


def test_a_model_attached_again_is_looked_at_again():
    sent = decoding(100)
    broken = attached(profile=replace(PROFILE, trained_tokens=50))
    both([*sent[:60], broken, *sent[60:]])


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_random_traffic_of_every_kind_healthy_or_not(flow):
    for seed in range(12):
        spec = draw(seed, flow)
        for fault in ("", *faults_of(spec)):
            both(run(spec, fault).sent)


def same(ours, theirs):
    """Equal but for the agent's own time, and sums of seconds to the last bit."""
    for one, other in zip(ours.families, theirs.families, strict=True):
        if one.metric.name == "locant.probe.duration.seconds":
            continue
        for a, b in zip(one.samples, other.samples, strict=True):
            if isinstance(a, HistogramSample):
                assert (a.labels, a.counts, a.exemplars) == (b.labels, b.counts, b.exemplars)
                assert a.sum == b.sum
            else:
                assert a == b
    return ours.findings == theirs.findings


@given(
    steps=st.integers(1, 150),
    caches=st.integers(1, 3),
    limit=st.integers(20, 400),
    looks=st.sets(st.integers(0, 300), max_size=4),
    cap=st.sampled_from([100, 250, 2000]),
)
@settings(max_examples=30)
def test_snapshots_and_findings_are_the_same(steps, caches, limit, looks, cap):
    sent = decoding(steps, caches=caches, profile=replace(PROFILE, trained_tokens=limit))
    config = AgentConfig(series_limit=cap, latency_target_seconds=0.04, memory_constant_bytes=1000, memory_factor=1.0)
    quick, slow = (Agent(config, judge, clock=Clock()) for judge in (Judge(), Plodding()))
    for number, one in enumerate(sent):
        for agent in (quick, slow):
            agent.ingest([one])
        if number in looks:
            assert same(quick.snapshot(), slow.snapshot())
    assert same(quick.snapshot(), slow.snapshot())
