"""A kept pass as a PNG: its heat maps, and below them a band of positions for each row.

PNG is eight bytes of signature and chunks of (length, name, data, CRC-32): https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from locant.observation import ABSENT, AttentionFacts, ForwardFacts
from locant.show.drawing import mean_heat, shade_ends
from locant.sidecar.kept.passes import KeptPass

_SQUARE, _BAND, _GAP = 12, 8, 12
Pixels = list[list[tuple[int, int, int]]]
_WHITE, _GREY = (255, 255, 255), (224, 224, 224)


def picture(kept: KeptPass) -> bytes:
    """The PNG. White to blue is nothing to the largest weight (position) of its part; padding is grey."""
    parts = [_heat(layer) for layer in kept.layers if layer.heat_bins]
    if kept.facts.positions:
        parts.append(_positions(kept.facts))
    return png(_stack(parts))


def png(pixels: Sequence[Sequence[tuple[int, int, int]]]) -> bytes:
    """Rows of (red, green, blue) as a PNG file."""
    width, height = len(pixels[0]), len(pixels)
    lines = b"".join(b"\0" + bytes(channel for pixel in line for channel in pixel) for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _heat(layer: AttentionFacts) -> Pixels:
    heat = mean_heat(layer)
    most = max(max(line) for line in heat) or 1.0
    return _grown([[_shade(value / most) for value in line] for line in heat], _SQUARE, _SQUARE)


def _positions(facts: ForwardFacts) -> Pixels:
    real = [value for row in facts.positions for value in row if value != ABSENT]
    low, span = min(real, default=0), max(max(real, default=0) - min(real, default=0), 1)
    lines = [[_GREY if v == ABSENT else _shade((v - low) / span) for v in row] for row in facts.positions]
    across = max(1, 256 // len(facts.position_columns))
    return _grown(lines, across, _BAND)


def _shade(share: float) -> tuple[int, int, int]:
    red, green, blue = (round(light + (dark - light) * share) for light, dark in shade_ends())
    return red, green, blue


def _grown(pixels: Pixels, across: int, down: int) -> Pixels:
    wide = [[pixel for pixel in line for _ in range(across)] for line in pixels]
    return [line for line in wide for _ in range(down)]


def _stack(parts: list[Pixels]) -> Pixels:
    """The parts below each other with a gap between them, padded to one width; one white pixel for none."""
    width = max((len(part[0]) for part in parts), default=1)
    gap = [[_WHITE] * width for _ in range(_GAP)]
    lines: Pixels = []
    for part in parts:
        lines += (gap if lines else []) + [line + [_WHITE] * (width - len(line)) for line in part]
    return lines or [[_WHITE]]
