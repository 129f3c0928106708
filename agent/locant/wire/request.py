"""What the agent may ask of a probe: one closer look at the next pass of a model in a phase, and nothing else."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

import msgspec

from locant.wire.frame import FrameError, FrameKind, unpack

LARGEST_BYTES = 256
_AT_ONCE = 8

Phase = Literal["prefill", "decode", "encode"]
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True, slots=True)
class LookRequest:
    """A model, by the number under which its probe introduced it, and a phase of its passes."""

    model_id: Annotated[int, msgspec.Meta(ge=0)]
    phase: Phase


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LookRequest)


@dataclass(slots=True)
class Heard:
    """What the other end said: `requests`, how many `others` were none for us, and whether it has `ended`."""

    requests: list[LookRequest] = field(default_factory=list)
    others: int = 0
    ended: bool = False


def encode_request(request: LookRequest) -> bytes:
    """The payload of a request."""
    return _encoder.encode(request)


def decode_request(payload: bytes) -> LookRequest:
    """The request in a payload; fields that we do not know are ignored. Raises FrameError("payload")."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise FrameError("payload") from error


def hear(peer: socket.socket, probe_id: int) -> Heard:
    """Take in what waits at a socket: never blocks, reads eight frames of 256 bytes at most, lets descriptors go."""
    heard, buffer = Heard(), bytearray(LARGEST_BYTES)
    for _ in range(_AT_ONCE):
        try:
            size, _, flags, _ = peer.recvmsg_into([buffer], 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            break
        except OSError:
            heard.ended = True
            break
        if not size:
            heard.ended = True
            break
        try:
            heard.requests.append(_request(bytes(buffer[:size]), bool(flags & socket.MSG_TRUNC), probe_id))
        except FrameError:
            heard.others += 1
    return heard


def _request(data: bytes, truncated: bool, probe_id: int) -> LookRequest:
    if truncated:
        raise FrameError("oversize")
    frame = unpack(data)
    if frame.kind != FrameKind.REQUEST or frame.probe_id != probe_id:
        raise FrameError("unknown_kind")
    return decode_request(frame.payload)
