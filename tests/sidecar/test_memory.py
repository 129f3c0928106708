"""What is kept of a model is the latest, and never more than so much of it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import ReplayFacts
from locant.sidecar.memory import PASSES_KEPT, REPLAY_KINDS, ModelMemory
from locant.sidecar.note import PassNote
from support.sidecar_traffic import attached, attention

NOTE = PassNote(True, True, False, True)
PASSES = range(100)


def test_the_latest_passes_are_noted_and_the_oldest_forgotten():
    memory = ModelMemory(attached())
    for number in PASSES:
        memory.note(number, NOTE)
    assert list(memory.notes) == list(PASSES[-PASSES_KEPT:])


def test_attention_that_came_before_its_pass_waits_for_it_and_is_told_once():
    memory = ModelMemory(attached())
    for number in PASSES:
        for layer in (0, 1):
            memory.keep(attention(layer, pass_number=number))
    told = {number: [facts.layer for facts in memory.note(number, NOTE)] for number in PASSES}
    assert told == {number: [0, 1] if number in PASSES[-PASSES_KEPT:] else [] for number in PASSES}
    assert memory.note(PASSES[-1], NOTE) == []


def replayed(kind: str, *differences: float) -> ReplayFacts:
    return ReplayFacts(1, 0.0, kind, "float32", "logits", differences)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["alone", "shifted"]), st.lists(st.integers(0, 9), max_size=90)), max_size=6))
def test_a_replay_is_told_the_latest_differences_of_its_own_kind_before_it(seen):
    memory, before = ModelMemory(attached()), {"alone": [], "shifted": []}
    for kind, differences in seen:
        assert memory.replay(replayed(kind, *differences)) == tuple(before[kind][-PASSES_KEPT:])
        before[kind] += differences[:PASSES_KEPT]


def test_so_many_kinds_of_replay_are_followed_and_the_known_ones_go_on():
    memory = ModelMemory(attached())
    for number in range(REPLAY_KINDS + 1):
        assert memory.replay(replayed(f"kind {number}", 1.0)) == ()
    assert memory.replay(replayed("kind 0")) == (1.0,)
    assert memory.replay(replayed(f"kind {REPLAY_KINDS}")) == ()
    assert len(memory.replayed) == REPLAY_KINDS
