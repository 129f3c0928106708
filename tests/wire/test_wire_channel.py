"""The channel between the model's thread and the agent's: bounded to the last place, and honest about what it drops."""

from __future__ import annotations

from locant.observation import Detached
from locant.wire.channel import Channel


def test_a_full_channel_drops_the_newest_and_says_so():
    channel = Channel(capacity=2)
    assert [channel.offer(Detached(1, float(n))) for n in range(3)] == [True, True, False]
    assert (channel.depth, channel.dropped) == (2, {"queue_full": 1})
    assert [one.time for one in channel.drain()] == [0.0, 1.0]


def test_what_is_inside_a_closed_channel_can_still_be_had():
    channel = Channel()
    channel.offer(Detached(1, 0.0))
    channel.close()
    assert not channel.offer(Detached(1, 1.0))
    assert channel.dropped == {"closed": 1}
    assert len(channel.drain()) == 1


def test_a_drain_takes_no_more_than_it_is_told():
    channel = Channel()
    for n in range(5):
        channel.offer(Detached(1, float(n)))
    assert [len(channel.drain(limit=3)), len(channel.drain(limit=3)), len(channel.drain(limit=3))] == [3, 2, 0]


def test_a_forked_process_begins_with_nothing_waiting_and_nothing_dropped():
    channel = Channel(capacity=1)
    channel.offer(Detached(1, 0.0))
    channel.offer(Detached(1, 1.0))
    channel.forget()
    assert (channel.depth, channel.dropped) == (0, {})
