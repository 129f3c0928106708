"""Sender and receiver over a real Unix socket: nothing blocks, nothing raises, everything lost is counted."""

from __future__ import annotations

import os
import random
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from locant.observation import Detached, ForwardFacts, ModelAttached, ModelProfile, RowFacts
from locant.wire.frame import Frame, FrameKind, pack
from locant.wire.receiver import Limits, Receiver
from locant.wire.sender import Sender
from locant_slo.errors import MachineError

PROFILE = ModelProfile(
    "llama", "rope", "decoder", False, 0, 4096, None, 0, None, 0, None, True, 2, 4, 16, 1024, "abc", 100
)
COLUMNS = len(RowFacts._fields)
ATTACHED = ModelAttached(1, 0.0, "m", "v", PROFILE)


def forward(number, rows=1):
    return ForwardFacts(1, 0.0, number, "decode", 0.01, 1, (RowFacts(*range(COLUMNS)),) * rows)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "agent.sock")


@pytest.fixture
def listen(path):
    opened = []

    def start(**options):
        receiver = Receiver(path, clock=options.pop("clock", lambda: 0.0), **options)
        receiver.open()
        opened.append(receiver)
        return receiver

    yield start
    for receiver in opened:
        receiver.close()


def drain(receiver):
    """Everything that waits; two idle ticks in a row, since the first may only have accepted."""
    got, idle = [], 0
    while idle < 2:
        idle = 0 if receiver.poll(0.02, got.extend) else idle + 1
    return got


def sender_to(path, clock):
    return Sender(path, clock=clock, wall_clock=clock, jitter=lambda low, high: high)


def test_what_is_sent_arrives_in_order(path, listen, clock):
    receiver = listen()
    sender = sender_to(path, clock)
    sent = [ATTACHED, *(forward(n) for n in range(200))]
    assert sender.send(sent) == len(sent)
    assert drain(receiver) == sent
    sender.close()
    assert receiver.lost.total() == receiver.gaps == 0
    assert not receiver.refused.total()


def test_without_an_agent_everything_is_dropped_and_counted(path, clock):
    sender = sender_to(path, clock)
    assert sender.send([ATTACHED, forward(1)]) == 0
    assert sender.dropped == {"disconnected": 2}


def test_a_restarted_agent_learns_the_models_again_and_what_was_lost(path, listen, clock):
    first = listen()
    sender = sender_to(path, clock)
    sender.send([ATTACHED, replace(ATTACHED, model_id=2), Detached(2, 0.0), forward(1)])
    drain(first)
    first.close()
    assert sender.send([forward(2)]) == 0
    assert sender.send([forward(3)]) == 0  # not again before the pause is over
    second = listen()
    clock.now += 10
    assert sender.send([forward(4)]) == 1
    assert drain(second) == [ATTACHED, forward(4)]
    sender.heartbeat()
    drain(second)
    assert second.lost == {"disconnected": 2}
    sender.close()


def test_a_stalled_agent_costs_observations_and_never_time(path, listen, clock):
    receiver = listen()
    sender = sender_to(path, clock)
    sender.send([ATTACHED])
    big = [forward(n, rows=200) for n in range(64)]
    sent = sum(sender.send(big) for _ in range(40))
    assert sender.dropped["queue_full"] == 40 * 64 - sent > 0
    assert len(drain(receiver)) == sent + 1
    clock.now += 2
    sender.heartbeat()
    drain(receiver)
    assert receiver.lost["queue_full"] == sender.dropped["queue_full"]
    sender.close()


def test_a_batch_too_large_for_a_frame_is_split_and_a_single_giant_is_dropped(path, listen, clock):
    receiver = listen()
    sender = sender_to(path, clock)
    assert sender.send([ATTACHED, *(forward(n, rows=300) for n in range(8))]) == 9
    assert sender.send([forward(9, rows=2000)]) == 0
    assert sender.dropped == {"oversize": 1}
    assert len(drain(receiver)) == 9
    sender.close()


def test_models_of_two_probes_do_not_collide(path, listen, clock):
    receiver = listen()
    one, two = sender_to(path, clock), sender_to(path, clock)
    one.send([ATTACHED])
    two.send([replace(ATTACHED, model="other")])
    got = drain(receiver)
    assert {(o.model, o.model_id) for o in got} in ({("m", 1), ("other", 2)}, {("m", 2), ("other", 1)})
    one.close()
    two.close()


def test_a_forked_child_dials_for_itself(path, listen, clock):
    receiver = listen()
    sender = sender_to(path, clock)
    sender.send([ATTACHED])
    parent_id = sender.probe_id
    drain(receiver)
    child = os.fork()
    if child == 0:
        sent = sender.send([forward(1)])
        os._exit(0 if sent == 1 and sender.probe_id != parent_id else 1)
    assert os.waitpid(child, 0)[1] == 0
    got = drain(receiver)
    assert [type(o) for o in got] == [ModelAttached, ForwardFacts]
    assert sender.send([forward(2)]) == 1
    assert len(drain(receiver)) == 1
    sender.close()


def dial(path):
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.connect(path)
    return peer


def test_hostile_frames_are_counted_and_harm_nobody(path, listen, clock):
    receiver = listen()
    good = sender_to(path, clock)
    good.send([ATTACHED])
    evil = dial(path)
    drain(receiver)
    generator = random.Random(7)
    for data in (b"x", b"LCNT\x07" + bytes(40), generator.randbytes(500), pack(Frame(1, 1, 0, 0, 0.0, b"\xc1"))):
        evil.send(data)
    evil.send(pack(Frame(9, 1, 1, 0, 0.0)))
    drain(receiver)
    assert receiver.refused == {"truncated": 1, "version": 1, "magic": 1, "payload": 1, "unknown_kind": 1}
    assert good.send([forward(1)]) == 1
    assert drain(receiver) == [forward(1)]
    evil.close()
    good.close()


def test_a_peer_that_only_talks_rubbish_is_hung_up_on(path, listen):
    receiver = listen(limits=Limits(errors_per_connection=3))
    evil = dial(path)
    drain(receiver)
    for _ in range(10):
        evil.send(b"rubbish")
    drain(receiver)
    assert receiver.connections == 0
    assert receiver.refused["truncated"] == 4
    evil.close()


def test_connections_beyond_the_limit_are_refused_and_the_first_ones_go_on(path, listen, clock):
    receiver = listen(limits=Limits(connections=2))
    first = sender_to(path, clock)
    first.send([ATTACHED])
    drain(receiver)
    crowd = []
    for _ in range(5):
        crowd.append(dial(path))
        drain(receiver)
    assert receiver.connections == 2
    assert receiver.refused["too_many"] == 4
    assert first.send([forward(1)]) == 1
    assert drain(receiver) == [forward(1)]
    for peer in crowd:
        peer.close()
    first.close()


@pytest.mark.parametrize("who", [0, 1])
def test_a_stranger_by_user_id_is_refused_and_nobody_else(path, listen, who):
    receiver = listen(allowed_uids=frozenset({os.getuid() + who}))
    peer = dial(path)
    drain(receiver)
    assert receiver.connections == 1 - who
    assert receiver.refused["credentials"] == who
    peer.close()


def test_observations_of_a_model_never_introduced_are_refused(path, listen):
    receiver = listen()
    evil = dial(path)
    from locant.wire.codec import encode

    evil.send(pack(Frame(FrameKind.OBSERVATIONS, 5, 0, 0, 0.0, encode([forward(1)]))))
    assert drain(receiver) == []
    assert receiver.refused["unknown_model"] == 1
    evil.close()


def test_a_model_that_goes_silent_without_a_word_is_not_detached(path, listen, clock):
    receiver = listen()
    sender = sender_to(path, clock)
    sender.send([ATTACHED])
    sender.close()
    assert not [o for o in drain(receiver) if isinstance(o, Detached)]


def test_the_socket_has_the_mode_it_was_given_and_goes_with_its_owner(path, listen):
    before = os.umask(0o027)
    try:
        receiver = listen(mode=0o600)
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    finally:
        assert os.umask(before) == 0o027  # what the rest of the process writes keeps its own mode
    receiver.close()
    assert not Path(path).exists()


def test_a_socket_that_is_still_there_is_served_on_and_not_made_anew(path, listen, clock):
    receiver = listen(clock=clock)
    first = Path(path).stat()
    for _ in range(3):
        clock.now += 5
        receiver.poll(0.0, print)
    assert (Path(path).stat().st_ino, Path(path).stat().st_ctime_ns) == (first.st_ino, first.st_ctime_ns)


def test_a_stale_socket_is_replaced_and_a_served_one_is_not(path, listen):
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stale.bind(path)
    stale.close()
    listen()
    with pytest.raises(MachineError, match="served by another agent"):
        Receiver(path, clock=lambda: 0.0).open()


def test_a_file_in_the_way_is_left_alone(path):
    Path(path).write_text("precious")
    with pytest.raises(MachineError, match="is no socket"):
        Receiver(path, clock=lambda: 0.0).open()
    assert Path(path).read_text() == "precious"


def test_a_folder_that_does_not_exist_is_one_sentence(tmp_path):
    with pytest.raises(MachineError, match="choose a folder that exists"):
        Receiver(str(tmp_path / "none" / "agent.sock"), clock=lambda: 0.0).open()
