"""The schedule keeps its interval and its share of the time, and outlives a failing run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.canary.schedule import CanarySchedule, pause_seconds


@settings(max_examples=50)
@given(st.floats(0, 1e4), st.floats(0.1, 1e5), st.floats(0.001, 1))
def test_runs_take_at_most_their_share_and_start_an_interval_apart(spent, interval, share):
    pause = pause_seconds(spent, interval, share)
    assert pause >= 0
    assert spent <= share * (spent + pause) * (1 + 1e-9) + 1e-9
    assert spent + pause >= interval * (1 - 1e-9)


def test_a_failing_run_is_counted_and_the_next_one_follows():
    now = [0.0]
    rests: list[float] = []

    def run() -> None:
        now[0] += 2.0
        if len(rests) == 1:
            raise RuntimeError("the model is gone")

    def wait(seconds: float) -> bool:
        rests.append(seconds)
        return len(rests) == 3

    schedule = CanarySchedule(run, interval_seconds=10, share=0.05, clock=lambda: now[0], wait=wait)
    schedule.loop()
    assert (schedule.runs, schedule.failures) == (2, 1)
    assert rests == [pytest.approx(38.0)] * 3


def test_close_ends_the_thread():
    schedule = CanarySchedule(lambda: None, interval_seconds=3600).start()
    schedule.close()
    assert schedule._thread is not None
    assert not schedule._thread.is_alive()


@pytest.mark.parametrize(("interval", "share"), [(0, 0.1), (1, 0), (1, 1.5)])
def test_an_impossible_schedule_is_refused(interval, share):
    with pytest.raises(ValueError, match="make no schedule"):
        CanarySchedule(lambda: None, interval_seconds=interval, share=share)
