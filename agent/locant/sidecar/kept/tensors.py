"""Tables of numbers as bytes in the safetensors format, which numpy, torch and others open.

Eight bytes of length, a JSON header (`name -> dtype, shape, data_offsets`, strings under `__metadata__`), the data in
little-endian order: https://huggingface.co/docs/safetensors. Written here because the agent has no numpy.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_CODES = {"I32": "i", "F32": "f"}
_ALIGNED = 8
_LARGEST_HEADER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers in rows: `dtype` I32 or F32; a shape and the values in its order."""

    dtype: str
    shape: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def rows(self) -> tuple[tuple[Any, ...], ...]:
        """The values of a table of two dimensions, row by row."""
        height, width = self.shape
        return tuple(self.values[i * width : (i + 1) * width] for i in range(height))


def table(dtype: str, rows: Sequence[Sequence[float]]) -> Table:
    """A table of two dimensions. Raises ValueError for rows of different lengths."""
    width = len(rows[0]) if rows else 0
    if any(len(row) != width for row in rows):
        raise ValueError("rows of a table differ in length")
    return Table(dtype, (len(rows), width), tuple(value for row in rows for value in row))


def pack(tables: Mapping[str, Table], metadata: Mapping[str, str]) -> bytes:
    """The tables as one safetensors file."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts, start = [], 0
    for name, one in tables.items():
        part = struct.pack(f"<{len(one.values)}{_CODES[one.dtype]}", *one.values)
        header[name] = {"dtype": one.dtype, "shape": one.shape, "data_offsets": (start, start + len(part))}
        parts.append(part)
        start += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNED)
    return b"".join([struct.pack("<Q", len(text)), text, *parts])


def unpack(content: bytes) -> tuple[dict[str, Table], dict[str, str]]:
    """Tables and metadata. Raises ValueError for bytes that are no such file, or not whole."""
    try:
        length = struct.unpack_from("<Q", content)[0]
        if length > _LARGEST_HEADER_BYTES:
            raise ValueError("its header is too long")
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        data = content[8 + length :]
        return {name: _table(entry, data) for name, entry in header.items()}, metadata
    except (struct.error, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"is no safetensors file ({error})") from error


def _table(entry: Mapping[str, Any], data: bytes) -> Table:
    start, stop = entry["data_offsets"]
    count = math.prod(entry["shape"])
    part = data[start:stop]
    if count * 4 != stop - start or len(part) != stop - start:
        raise ValueError("its data does not fit its header")
    return Table(entry["dtype"], tuple(entry["shape"]), struct.unpack(f"<{count}{_CODES[entry['dtype']]}", part))
