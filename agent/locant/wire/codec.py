"""Observations to bytes and back. Fields travel by name, so that older and newer peers understand each other."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, get_args

import msgspec

from locant.observation import ABSENT, ForwardFacts, Observation, RowFacts
from locant.wire.frame import FrameError

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Observation)}
_COLUMNS = len(RowFacts._fields)
_ROW = struct.Struct(f"<{_COLUMNS}i")
_INT32 = (-(2**31), 2**31 - 1)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[str, dict[str, Any]]])
_loss_decoder = msgspec.msgpack.Decoder(dict[str, int])
_MOST_REASONS = 16


def encode(observations: Iterable[Observation]) -> bytes:
    """The payload for some observations. Fields that hold their default are left out."""
    return _encoder.encode([(type(one).__name__, _sparse(one)) for one in observations])


def decode(payload: bytes) -> tuple[list[Observation], int]:
    """The observations in a payload, and how many entries of unknown kinds were skipped.

    Raises FrameError("payload") when it is no list of observations, or a known one is not what it says.
    """
    try:
        entries = _decoder.decode(payload)
        known = [_restore(_KINDS[name], values) for name, values in entries if name in _KINDS]
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        raise FrameError("payload") from error
    return known, len(entries) - len(known)


def encode_losses(losses: Mapping[str, int]) -> bytes:
    """The payload of a heartbeat: observations dropped so far, by reason."""
    return _encoder.encode(dict(losses))


def decode_losses(payload: bytes) -> dict[str, int]:
    """Observations a probe dropped so far, by reason; nothing from a peer that does not say. Raises FrameError."""
    if not payload:
        return {}
    try:
        losses = _loss_decoder.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise FrameError("payload") from error
    if len(losses) > _MOST_REASONS or any(count < 0 or len(reason) > 32 for reason, count in losses.items()):
        raise FrameError("payload")
    return losses


def _sparse(observation: Observation) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in fields(observation):
        value = getattr(observation, field.name)
        if field.default is MISSING or value != field.default:
            values[field.name] = value
    if isinstance(observation, ForwardFacts):
        values["rows"] = (_COLUMNS, _pack_rows(observation.rows))
    return values


def _restore(kind: type[Any], values: dict[str, Any]) -> Observation:
    if kind is ForwardFacts:
        columns, packed = values.get("rows", (_COLUMNS, b""))
        values["rows"] = _unpack_rows(columns, packed)
    restored: Observation = msgspec.convert(values, type=kind)
    return restored


def _pack_rows(rows: Sequence[RowFacts]) -> bytes:
    """Little-endian int32, whatever the machine; numbers beyond that are the nearest ones that fit."""
    try:
        return b"".join([_ROW.pack(*row) for row in rows])
    except struct.error:
        lowest, highest = _INT32
        return b"".join([_ROW.pack(*(min(max(int(value), lowest), highest) for value in row)) for row in rows])


def _unpack_rows(columns: object, packed: object) -> tuple[RowFacts, ...]:
    if type(columns) is not int or not isinstance(packed, bytes) or columns < 1 or len(packed) % (4 * columns):
        raise ValueError("rows do not fit their columns")
    if not packed:
        return ()
    if columns == _COLUMNS:
        return tuple(map(RowFacts._make, _ROW.iter_unpack(packed)))
    absent = (ABSENT,) * (_COLUMNS - columns)
    rows = struct.iter_unpack(f"<{columns}i", packed)
    return tuple(RowFacts(*row[:_COLUMNS], *absent) for row in rows)
