"""What the agent keeps of a probe: every frame that never came, and every observation that it says it lost, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from locant.wire.frame import Frame, FrameKind
from locant.wire.peer import Probe


def frame(sequence: int, dropped: int = 0) -> Frame:
    return Frame(FrameKind.HEARTBEAT, probe_id=1, sequence=sequence, dropped_total=dropped, time=0.0)


@given(st.sets(st.integers(0, 40), min_size=1))
def test_frames_that_never_came_are_counted_to_the_last_one(arrived):
    probe = Probe(next_sequence=0)
    missing = sum(probe.follow(frame(sequence)) for sequence in sorted(arrived))
    assert missing == max(arrived) + 1 - len(arrived)


def test_a_frame_that_comes_late_or_twice_is_no_gap():
    probe = Probe(next_sequence=5)
    assert [probe.follow(frame(sequence)) for sequence in (5, 5, 3, 6)] == [0, 0, 0, 0]


def test_losses_count_once_and_those_without_a_reason_as_a_full_queue():
    probe = Probe(next_sequence=0)
    probe.follow(frame(0, dropped=7))
    assert +probe.losses({"oversize": 2}) == {"oversize": 2, "queue_full": 5}
    assert not +probe.losses({"oversize": 2})
    probe.follow(frame(1, dropped=9))
    assert +probe.losses({"oversize": 3}) == {"oversize": 1, "queue_full": 1}
