"""What the agent asks for is looked at once, within a minute, once a minute: however often it asks."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locant.probe.wishes import PAUSE_SECONDS, Wishes


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=300))
def test_no_minute_sees_two_requests_honoured_and_every_one_is_counted_once(moves: list[tuple[float, bool]]) -> None:
    clock = Clock()
    wishes, looked, asked = Wishes(clock), [], 0
    for seconds, is_request in moves:
        clock.now += seconds
        if is_request:
            asked += 1
            wishes.ask("prefill")
        elif wishes.claim("prefill") is not None:
            wishes.fulfilled()
            looked.append(clock.now)
    assert sum(second - first < PAUSE_SECONDS for first, second in zip(looked, looked[2:], strict=False)) == 0
    assert wishes.counts.total() + (wishes.waiting is not None) == asked


def test_thousands_of_requests_are_one_wish() -> None:
    clock = Clock()
    wishes = Wishes(clock)
    assert sum(wishes.ask("decode") for _ in range(5000)) == 1
    assert wishes.claim("prefill") is None
    assert wishes.claim("decode") is not None
    assert wishes.claim("decode") is None
    assert wishes.counts["refused"] == 4999


def test_a_wish_that_no_pass_fulfils_in_a_minute_expires() -> None:
    clock = Clock()
    wishes = Wishes(clock)
    assert wishes.ask("prefill")
    clock.now += PAUSE_SECONDS + 1
    assert wishes.claim("decode") is None
    assert wishes.waiting is None
    assert wishes.counts == {"looked": 0, "refused": 0, "expired": 1}
    assert wishes.ask("prefill")


def test_a_wish_put_back_stays_open_unless_there_is_a_newer_one() -> None:
    clock = Clock()
    wishes = Wishes(clock)
    wishes.ask("prefill")
    old = wishes.claim("prefill")
    assert old is not None
    wishes.put_back(old)
    assert wishes.claim("prefill") is old
    clock.now += PAUSE_SECONDS
    wishes.ask("decode")
    wishes.put_back(old)
    assert wishes.claim("prefill") is None
    assert wishes.claim("decode") is not None


def test_every_count_is_there_from_the_start_and_what_was_no_request_is_counted() -> None:
    clock = Clock()
    clock.now = 0.0
    wishes = Wishes(clock)
    assert dict(wishes.counts) == {"looked": 0, "refused": 0, "expired": 0}
    wishes.refuse()
    assert wishes.counts["refused"] == 1
    assert wishes.ask("prefill")


@pytest.mark.parametrize("phase", ["", "any", "PREFILL", "../prefill"])
def test_there_are_three_phases_and_no_other_words(phase: str) -> None:
    assert not Wishes(Clock()).ask(phase)


def test_where_attention_is_not_looked_at_nothing_is_wished_for() -> None:
    wishes = Wishes(Clock(), lambda: False)
    assert not wishes.ask("prefill")
    assert wishes.waiting is None


def test_of_many_threads_one_gets_the_wish() -> None:
    wishes, found = Wishes(Clock()), []
    wishes.ask("prefill")
    start = threading.Barrier(8)

    def claim() -> None:
        start.wait()
        found.append(wishes.claim("prefill"))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in found) == 1


def test_a_child_of_a_fork_has_neither_its_parents_wish_nor_its_lock() -> None:
    wishes = Wishes(Clock())
    wishes.ask("prefill")
    wishes._lock.acquire()
    wishes.forget()
    assert wishes.claim("prefill") is None
