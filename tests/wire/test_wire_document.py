"""The frame is what the decision's table says, byte by byte; a peer written from the table alone is understood."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import msgspec

from locant.wire.codec import decode_losses, encode_losses
from locant.wire.frame import HEADER_BYTES, MAX_FRAME_BYTES, VERSION, Frame, FrameKind, pack, unpack

PAGE = Path(__file__).parents[2] / "docs" / "decisions" / "0003-wire-format.md"
ROW = re.compile(r"^\| (\d+) \| (\d+|–) \| (.+?) \|$", re.MULTILINE)
TABLE = [(int(offset), size, field) for offset, size, field in ROW.findall(PAGE.read_text())]
VALUES = {"magic": b"LCNT", "major": 1, "kind": 2, "flags": 0, "probe": 7, "sequence": 9, "observations": 11}


def by_the_table(**changed):
    """A heartbeat's header as somebody writes it who has only the table."""
    header = bytearray(40)
    for offset, size, field in TABLE[:-1]:
        word = re.findall(r"\w+", field)[0]
        value = {**VALUES, **changed}.get(word)
        if word == "Unix":
            raw = struct.pack("<d", 1.5)
        else:
            raw = value if isinstance(value, bytes) else value.to_bytes(int(size), "little")
        header[offset : offset + int(size)] = raw
    return bytes(header)


def test_the_table_has_every_byte_of_the_header_once():
    sizes = [(offset, int(size)) for offset, size, _ in TABLE[:-1]]
    assert [offset for offset, _ in sizes] == [sum(size for _, size in sizes[:n]) for n in range(len(sizes))]
    assert sum(size for _, size in sizes) == TABLE[-1][0] == HEADER_BYTES
    assert f"at most {MAX_FRAME_BYTES // 1024} KiB" in PAGE.read_text()
    assert f"major version ({VERSION})" in PAGE.read_text()


def test_a_frame_written_by_the_table_is_the_frame_that_we_write():
    frame = Frame(FrameKind.HEARTBEAT, 7, 9, 11, 1.5, encode_losses({"queue_full": 11}))
    assert pack(frame) == by_the_table() + msgspec.msgpack.encode({"queue_full": 11})
    assert decode_losses(unpack(by_the_table() + frame.payload).payload) == {"queue_full": 11}


def test_a_newer_peer_may_use_flags_and_kinds_that_we_do_not_know():
    assert unpack(by_the_table(flags=513, kind=77)).kind == 77
