"""Lines of pixels put together and written as a PNG file.

PNG is eight bytes of signature and chunks of (length, name, data, CRC-32): https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from locant.show.scale import GREY, WHITE, Colour

Lines = list[bytes]
"""Three bytes a pixel; all lines of a part are equally long."""
_PIXEL = 3


def png(lines: Lines) -> bytes:
    """The file."""
    header = struct.pack(">IIBBBBB", width(lines), len(lines), 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + line for line in lines), 6)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def width(part: Lines) -> int:
    """In pixels."""
    return len(part[0]) // _PIXEL


def squares(cells: Sequence[Sequence[Colour]], across: int, down: int) -> Lines:
    """Every cell as a rectangle of its colour."""
    wide = [b"".join(bytes(cell) * across for cell in line) for line in cells]
    return [line for line in wide for _ in range(down)]


def framed(part: Lines) -> Lines:
    """With a grey line around it."""
    edge = bytes(GREY)
    bar = edge * (width(part) + 2)
    return [bar, *(edge + line + edge for line in part), bar]


def with_margin(part: Lines, size: int) -> Lines:
    """With white around it."""
    bar, side = bytes(WHITE) * (width(part) + 2 * size), bytes(WHITE) * size
    return [*[bar] * size, *(side + line + side for line in part), *[bar] * size]


def stacked(parts: Sequence[Lines], gap: int) -> Lines:
    """Below each other."""
    across = max(map(width, parts))
    lines: Lines = []
    for part in parts:
        lines += [bytes(WHITE) * across] * (gap if lines else 0)
        lines += [_padded(line, across) for line in part]
    return lines


def beside(parts: Sequence[Lines], each: int) -> Lines:
    """Side by side, each in a column of so many pixels."""
    nothing = bytes(WHITE) * each
    return [
        b"".join(_padded(part[y], each) if y < len(part) else nothing for part in parts)
        for y in range(max(map(len, parts)))
    ]


def _padded(line: bytes, across: int) -> bytes:
    return line + bytes(WHITE) * (across - len(line) // _PIXEL)
