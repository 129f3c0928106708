"""The way back: an agent may ask a probe to look at a whole pass. Nothing that it sends costs the probe more."""

from __future__ import annotations

import os
import socket
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locant.observation import AttentionFacts, Detached, ForwardFacts, ModelAttached, ModelProfile, Observation
from locant.sidecar.kept.passes import STATISTICS
from locant.wire import sender
from locant.wire.channel import Channel
from locant.wire.codec import encode_losses
from locant.wire.frame import HEARS_REQUESTS, Frame, FrameError, FrameKind, pack, unpack
from locant.wire.receiver import Receiver
from locant.wire.request import LARGEST_BYTES, LookRequest, decode_request, encode_request
from locant.wire.sender import Sender
from support.kept_passes import layer

PROFILE = ModelProfile(
    "llama", "rope", "decoder", False, 0, 4096, None, 0, None, 0, None, True, 2, 4, 16, 1024, "abc", 100
)
WANTED = LookRequest(3, "prefill")


def attached(model_id: int) -> ModelAttached:
    return ModelAttached(model_id, 0.0, "m", "v", PROFILE)


class Pair:
    """A receiver and a sender on one socket; `heard` is what the sender was asked, `got` what the receiver read."""

    def __init__(self, path: str, *, listens: bool = True) -> None:
        self.heard: list[LookRequest | None] = []
        self.got: list[Observation] = []
        self.receiver = Receiver(path, clock=time.monotonic)
        self.receiver.open()
        self.sender = Sender(path, on_request=self.heard.append if listens else None)

    def read(self) -> None:
        """Let the receiver read everything."""
        idle = 0
        while idle < 2:
            idle = 0 if self.receiver.poll(0.02, self.got.extend) else idle + 1

    @property
    def number(self) -> int:
        """The receiver's number of the model that came last."""
        return [one.model_id for one in self.got if isinstance(one, ModelAttached)][-1]

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(str(tmp_path / "agent.sock"))
    yield made
    made.close()


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[tuple[Callable[[bytes], int], Sender, list[LookRequest | None]]]:
    """Somebody who took the agent's place: sends what he likes to a probe that dialled him."""
    heard: list[LookRequest | None] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(tmp_path / "agent.sock"))
    listener.listen()
    sender = Sender(str(tmp_path / "agent.sock"), on_request=heard.append)
    sender.send([attached(3)])
    peer, _ = listener.accept()
    peer.setblocking(False)
    yield peer.send, sender, heard
    sender.close()
    peer.close()
    listener.close()


def framed(sender: Sender, payload: bytes, kind: int = FrameKind.REQUEST) -> bytes:
    return pack(Frame(kind, sender.probe_id, 0, 0, 0.0, payload))


def test_a_request_reaches_the_model_under_the_name_that_its_probe_gave_it(pair: Pair, tmp_path: Path) -> None:
    other = Sender(str(tmp_path / "agent.sock"))
    other.send([attached(3)])
    pair.read()
    pair.sender.send([attached(7), attached(3)])
    pair.read()
    assert pair.receiver.ask(pair.number, "decode")
    pair.sender.listen()
    assert pair.heard == [LookRequest(3, "decode")]
    assert not pair.receiver.ask(99, "decode")
    other.close()


def test_a_probe_that_does_not_listen_is_sent_nothing(tmp_path: Path) -> None:
    pair = Pair(str(tmp_path / "agent.sock"), listens=False)
    pair.sender.send([attached(3)])
    pair.read()
    assert not pair.receiver.ask(pair.number, "prefill")
    pair.sender.listen()
    assert pair.heard == []
    pair.close()


def test_an_agent_of_before_reads_the_frames_of_a_probe_that_listens(pair: Pair) -> None:
    """The flag stands in two bytes that were reserved, and that the first release read over."""
    data = pack(Frame(FrameKind.HEARTBEAT, 7, 9, 11, 1.5, encode_losses({}), HEARS_REQUESTS))
    assert data[6:8] == b"\x01\x00"
    assert unpack(data[:6] + b"\0\0" + data[8:]) == Frame(FrameKind.HEARTBEAT, 7, 9, 11, 1.5, encode_losses({}))


def test_a_model_that_was_detached_is_not_asked_about(pair: Pair) -> None:
    pair.sender.send([attached(3)])
    pair.read()
    number = pair.number
    pair.sender.send([Detached(3, 1.0)])
    pair.read()
    assert not pair.receiver.ask(number, "prefill")


def test_asking_a_probe_that_is_gone_is_no_error(pair: Pair) -> None:
    pair.sender.send([attached(3)])
    pair.read()
    number = pair.number
    pair.sender.close()
    assert not pair.receiver.ask(number, "prefill")
    pair.read()
    assert pair.receiver.connections == 0
    assert not pair.receiver.ask(number, "prefill")


def test_a_probe_that_stands_still_costs_the_agent_no_time(pair: Pair) -> None:
    pair.sender.send([attached(3)])
    pair.read()
    sent = sum(pair.receiver.ask(pair.number, "prefill") for _ in range(20_000))
    assert 0 < sent < 20_000
    pair.sender.listen()
    assert len(pair.heard) <= 8


def test_last_words_arrive_though_requests_were_left_unread(pair: Pair) -> None:
    """A socket that is closed with bytes unread resets the connection; what was sent before it is still read."""
    pair.sender.send([attached(3)])
    pair.read()
    facts = ForwardFacts(3, 0.0, 1, "decode", 0.01, 1, ())
    for _ in range(200):
        assert pair.receiver.ask(pair.number, "prefill")
    pair.sender.send([facts, Detached(3, 1.0)])
    raw = pair.sender._socket
    assert raw is not None
    raw.close()
    pair.read()
    assert [type(one) for one in pair.got[1:]] == [ForwardFacts, Detached]
    assert pair.receiver.gaps == 0


def test_an_agent_that_dies_is_noticed_by_listening_and_dialled_again(pair: Pair, tmp_path: Path) -> None:
    pair.sender.send([attached(3)])
    pair.read()
    pair.receiver.close()
    pair.sender.listen()
    assert not pair.sender.connected
    pair.sender.listen()
    again = Receiver(str(tmp_path / "agent.sock"), clock=time.monotonic)
    again.open()
    deadline = time.monotonic() + 10
    while not pair.sender.connected and time.monotonic() < deadline:
        time.sleep(0.05)
        pair.sender.heartbeat()
    assert pair.sender.connected
    again.close()


def test_a_forked_child_leaves_its_parents_requests_alone(pair: Pair) -> None:
    pair.sender.send([attached(3)])
    pair.read()
    assert pair.receiver.ask(pair.number, "prefill")
    child = os.fork()
    if child == 0:
        pair.sender.listen()
        pair.sender.close()
        os._exit(1 if pair.heard else 0)
    assert os.waitpid(child, 0)[1] == 0
    pair.sender.listen()
    assert pair.heard == [WANTED]


def test_a_forked_child_with_a_model_of_its_own_is_asked_about_that(pair: Pair) -> None:
    pair.sender.send([attached(3)])
    pair.read()
    parents = pair.number
    child = os.fork()
    if child == 0:
        pair.sender.send([attached(3)])
        deadline = time.monotonic() + 10
        while not pair.heard and time.monotonic() < deadline:
            pair.sender.listen()
            time.sleep(0.01)
        os._exit(0 if pair.heard == [LookRequest(3, "decode")] else 1)
    deadline = time.monotonic() + 10
    while pair.number == parents and time.monotonic() < deadline:
        pair.read()
    assert pair.receiver.ask(pair.number, "decode")
    assert pair.receiver.ask(parents, "prefill")
    assert os.waitpid(child, 0)[1] == 0
    pair.sender.listen()
    assert pair.heard == [WANTED]


def test_what_is_no_request_is_counted_and_the_next_one_is_heard(stranger: tuple) -> None:
    send, sender, heard = stranger
    payloads = [
        b"x",
        b"x" * 100_000,
        os.urandom(200),
        framed(sender, encode_request(WANTED), kind=9),
        framed(sender, encode_request(WANTED) + bytes(LARGEST_BYTES)),
        pack(Frame(FrameKind.REQUEST, sender.probe_id ^ 1, 0, 0, 0.0, encode_request(WANTED))),
        *(framed(sender, msgspec.msgpack.encode(told)) for told in (
            {"model_id": 3, "phase": "../../etc"},
            {"model_id": "3", "phase": "prefill"},
            {"model_id": -1, "phase": "prefill"},
            {"phase": "prefill"},
            ["prefill"],
        )),
        framed(sender, b"\x91" * 150),
    ]  # fmt: skip
    for payload in payloads:
        send(payload)
    sender.listen()
    sender.listen()
    assert heard == [None] * len(payloads)
    send(framed(sender, msgspec.msgpack.encode({"model_id": 3, "phase": "prefill", "tokens": True})))
    sender.listen()
    assert heard[-1] == WANTED
    assert sender.connected


def test_a_flood_is_read_eight_at_a_time_and_never_waited_for(stranger: tuple) -> None:
    send, sender, heard = stranger
    request = framed(sender, encode_request(WANTED))
    with pytest.raises(BlockingIOError):
        _ = [send(request) for _ in range(1_000_000)]
    sender.listen()
    assert len(heard) == 8
    assert sender.send([attached(3)]) == 1


def test_descriptors_that_come_along_are_not_kept(stranger: tuple, tmp_path: Path) -> None:
    send, sender, heard = stranger
    peer = send.__self__
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Path(__file__).open() as file:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [file.fileno()] * 50))]
        peer.sendmsg([framed(sender, encode_request(WANTED))], ancillary)
    sender.listen()
    assert heard == [WANTED]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@given(st.binary(max_size=LARGEST_BYTES))
def test_any_bytes_are_a_request_or_a_frame_error(payload: bytes) -> None:
    try:
        found = decode_request(payload)
    except FrameError:
        return
    assert found.phase in ("prefill", "decode", "encode")
    assert found.model_id >= 0


@given(st.integers(0, 2**63), st.sampled_from(("prefill", "decode", "encode")))
def test_a_request_comes_back_and_fits_its_frame(model_id: int, phase: str) -> None:
    wanted = LookRequest(model_id, phase)  # type: ignore[arg-type]
    data = pack(Frame(FrameKind.REQUEST, 2**64 - 1, 0, 0, 0.0, encode_request(wanted)))
    assert len(data) <= LARGEST_BYTES
    assert decode_request(unpack(data).payload) == wanted


SMALLEST_BUFFER_BYTES = 212_992
"""What Linux gives a socket where nobody has raised `net.core.wmem_max`."""


def large_pass() -> list[AttentionFacts]:
    """What a whole pass of a model with 80 layers of 64 heads says of its attention, a mebibyte in all."""
    sums = dict.fromkeys(STATISTICS, (0.123456,) * 64)
    made = [replace(layer(1, number, bins=32), **sums) for number in range(80)]
    return [one if one.layer < 32 else replace(one, heat_bins=0, heat=(), heat_rows=()) for one in made]


@pytest.mark.parametrize("in_gulps", [True, False])
def test_a_whole_pass_of_a_large_model_is_sent_in_rounds_and_none_of_it_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_gulps: bool
) -> None:
    monkeypatch.setattr(sender, "_SEND_BUFFER_BYTES", SMALLEST_BUFFER_BYTES)
    pair = Pair(str(tmp_path / "agent.sock"))
    pair.sender.send([attached(1)])
    pair.read()
    channel = Channel()
    for one in large_pass():
        channel.offer(one)
    rounds = 0
    while batch := channel.gulp() if in_gulps else channel.drain():
        pair.sender.send(batch)
        pair.read()
        rounds += 1
    if in_gulps:
        assert 1 < rounds < 10
        assert [one.layer for one in pair.got[1:]] == list(range(80))
        assert pair.sender.dropped == {}
    else:
        assert pair.sender.dropped["queue_full"] > 0
    pair.close()


@given(st.lists(st.integers(0, 40), max_size=60))
def test_gulps_are_everything_once_and_in_order(sizes: list[int]) -> None:
    channel, taken = Channel(), []
    offered = [
        replace(layer(1, number), heat=(0.0,) * size**2, heat_bins=size, heat_rows=(1,) * size)
        for number, size in enumerate(sizes)
    ]
    for one in offered:
        channel.offer(one)
    while batch := channel.gulp():
        taken += batch
    assert taken == offered
