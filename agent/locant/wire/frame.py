"""One frame on the socket: a 40-byte header and a payload. `docs/decisions/0003-wire-format.md` has every byte."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"LCNT"
VERSION = 1
MAX_FRAME_BYTES = 128 * 1024
_HEADER = struct.Struct("<4sBBHQQQd")
HEADER_BYTES = _HEADER.size


class FrameKind(IntEnum):
    """What a frame carries."""

    OBSERVATIONS = 1
    HEARTBEAT = 2
    REQUEST = 3


HEARS_REQUESTS = 1
"""Flag of a probe that reads what its agent sends; to one without it nothing is sent."""


class FrameError(ValueError):
    """A frame that cannot be read; `reason` is one word for the counter."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as values. `kind` and `flags` stay numbers: a newer peer may send some that we do not know."""

    kind: int
    probe_id: int
    sequence: int
    dropped_total: int
    time: float
    payload: bytes = b""
    flags: int = 0


def pack(frame: Frame) -> bytes:
    """The frame's bytes. Raises FrameError("oversize") beyond `MAX_FRAME_BYTES`."""
    if HEADER_BYTES + len(frame.payload) > MAX_FRAME_BYTES:
        raise FrameError("oversize")
    header = _HEADER.pack(
        MAGIC, VERSION, frame.kind, frame.flags, frame.probe_id, frame.sequence, frame.dropped_total, frame.time
    )
    return header + frame.payload


def unpack(data: bytes) -> Frame:
    """The frame in `data`. Raises FrameError: truncated, magic, version or oversize."""
    if len(data) < HEADER_BYTES:
        raise FrameError("truncated")
    if len(data) > MAX_FRAME_BYTES:
        raise FrameError("oversize")
    magic, version, kind, flags, probe_id, sequence, dropped_total, time = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise FrameError("magic")
    if version != VERSION:
        raise FrameError("version")
    return Frame(kind, probe_id, sequence, dropped_total, time, data[HEADER_BYTES:], flags)
