"""Frames and payloads: what goes in comes out, from older and newer peers too, and nothing else gets in."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import (
    ABSENT,
    CanaryFacts,
    Detached,
    Deviation,
    ForwardFacts,
    ModelAttached,
    ModelProfile,
    RotaryFacts,
    RowFacts,
    StreamFacts,
)
from locant.wire.codec import decode, encode
from locant.wire.frame import HEADER_BYTES, MAX_FRAME_BYTES, Frame, FrameError, FrameKind, pack, unpack

COLUMNS = len(RowFacts._fields)
INT32 = st.integers(-(2**31), 2**31 - 1)
ROWS = st.lists(st.builds(RowFacts, *[INT32] * len(RowFacts._fields)), max_size=5).map(tuple)
PROFILE = ModelProfile(
    "llama", "rope", "decoder", False, 0, 4096, None, 0, None, 0, None, True, 2, 4, 16, 1024, "abc", 100
)
FORWARDS = st.builds(
    ForwardFacts,
    model_id=st.integers(0, 2**31),
    time=st.floats(0, 2e9),
    pass_number=st.integers(0, 2**40),
    phase=st.sampled_from(["prefill", "decode", "encode"]),
    duration_seconds=st.floats(0, 100),
    queries=st.integers(0, 2**20),
    rows=ROWS,
    rotary=st.none() | st.builds(RotaryFacts, dtype=st.just("bfloat16"), output_error=st.none() | st.floats(0, 1)),
    table_growths=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=2).map(tuple),
    seen=st.lists(st.sampled_from(["mask", "cache"]), max_size=2).map(tuple),
)


@given(st.lists(FORWARDS, max_size=3))
@settings(max_examples=50)
def test_forward_facts_survive_the_journey(observations):
    assert decode(encode(observations)) == (observations, 0)


def test_every_other_kind_survives_the_journey():
    observations = [
        ModelAttached(1, 2.0, "m", "v", PROFILE, (Deviation("rotary", "inv_freq", 0.1, "1", "2"),)),
        StreamFacts(1, 1.0, 2, 0),
        CanaryFacts(1, 1.0, "copy/4", "copy", "up_to_1", False, True, None, (("begin", 0.5, 3),)),
        Detached(1, 3.0),
    ]
    assert decode(encode(observations)) == (observations, 0)


def test_numbers_beyond_32_bits_are_clamped_and_never_lost():
    row = RowFacts(*[2**40] * len(RowFacts._fields))
    facts = ForwardFacts(1, 0.0, 0, "prefill", 0.0, 1, (row,))
    [[back], _] = decode(encode([facts]))
    assert set(back.rows[0]) == {2**31 - 1}


def rewritten(change):
    """One forward as a peer of another release would write it."""
    [[kind, values]] = msgspec.msgpack.decode(
        encode([ForwardFacts(1, 0.0, 0, "decode", 0.0, 1, (RowFacts(*range(COLUMNS)),))])
    )
    return msgspec.msgpack.encode([change(kind, values)])


def test_a_newer_peers_extra_fields_and_columns_are_ignored():
    def newer(kind, values):
        columns, packed = values["rows"]
        return [kind, {**values, "novelty": 1, "rows": (columns + 2, packed + b"\1\0\0\0" * 2)}]

    [[facts], unknown] = decode(rewritten(newer))
    assert facts.rows == (RowFacts(*range(COLUMNS)),)
    assert unknown == 0


def test_an_older_peers_missing_fields_and_columns_read_as_absent():
    def older(kind, values):
        columns, packed = values["rows"]
        return [kind, {**values, "rows": (columns - 7, packed[: -4 * 7])}]

    [[facts], _] = decode(rewritten(older))
    assert facts.rows[0].cross_visible == ABSENT
    assert facts.rows[0].real == 0


def test_a_kind_from_the_future_is_skipped_and_counted():
    payload = msgspec.msgpack.encode([["Novelty", {"a": 1}], ["Detached", {"model_id": 1, "time": 2.0}]])
    assert decode(payload) == ([Detached(1, 2.0)], 1)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\xff" * 100,
        msgspec.msgpack.encode({"not": "a list"}),
        msgspec.msgpack.encode([["ForwardFacts", {"model_id": "one"}]]),
        msgspec.msgpack.encode([["ForwardFacts", {"rows": [0, b""]}]]),
        msgspec.msgpack.encode([["ForwardFacts", {"rows": [COLUMNS, b"odd"]}]]),
        msgspec.msgpack.encode([["ForwardFacts", {"rows": 3}]]),
        msgspec.msgpack.encode([["ForwardFacts", {"rows": [True, bytes(4)]}]]),
        b"\x91" * 100_000,
    ],
)
def test_a_payload_that_is_none_is_refused_with_one_reason(payload):
    with pytest.raises(FrameError) as error:
        decode(payload)
    assert error.value.reason == "payload"


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_no_bytes_raise_anything_but_a_frame_error(data):
    for read in (unpack, decode):
        with contextlib.suppress(FrameError):
            read(data)


def test_a_frame_survives_the_journey():
    frame = Frame(FrameKind.OBSERVATIONS, 2**64 - 1, 7, 3, 1.5, b"payload")
    assert unpack(pack(frame)) == frame


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"LCNT", "truncated"),
        (b"HTTP" + bytes(HEADER_BYTES), "magic"),
        (b"LCNT\x09" + bytes(HEADER_BYTES), "version"),
        (b"LCNT\x01" + bytes(MAX_FRAME_BYTES), "oversize"),
    ],
)
def test_a_broken_frame_says_why(data, reason):
    with pytest.raises(FrameError) as error:
        unpack(data)
    assert error.value.reason == reason


def test_a_frame_beyond_the_limit_is_never_written():
    with pytest.raises(FrameError, match="oversize"):
        pack(Frame(1, 0, 0, 0, 0.0, bytes(MAX_FRAME_BYTES)))
