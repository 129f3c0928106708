"""Who fell silent is told once, and so is the quietest of too many."""

from __future__ import annotations

from locant.sidecar.attendance import Attendance


def test_only_the_silent_are_absent_and_each_is_told_once():
    present = Attendance(capacity=10)
    present.note(1, 0.0)
    present.note(2, 50.0)
    assert present.absent(100.0, silent_seconds=60.0) == [1]
    assert present.absent(100.0, silent_seconds=60.0) == []
    present.note(2, 105.0)
    assert present.absent(115.0, silent_seconds=60.0) == []
    assert len(present) == 1


def test_beyond_the_capacity_the_quietest_goes_though_it_spoke_just_now():
    present = Attendance(capacity=2)
    for model_id in (1, 2, 1, 3):
        present.note(model_id, 0.0)
    assert present.absent(0.0, silent_seconds=60.0) == [2]


def test_who_said_goodbye_is_not_missed():
    present = Attendance()
    present.note(1, 0.0)
    present.leave(1)
    assert present.absent(1e9, silent_seconds=1.0) == []
