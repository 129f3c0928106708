"""A kept pass as a picture: heat maps, the statistics of every layer and head, and a band of positions for each row."""

from __future__ import annotations

from locant.observation import ABSENT, AttentionFacts, ForwardFacts
from locant.show.drawing import mean_heat
from locant.show.glyphs import written
from locant.show.matrices import Matrix, matrices
from locant.show.png import Lines, beside, framed, png, squares, stacked, width, with_margin
from locant.show.scale import GREY, WHITE, Colour, of_mass, shade
from locant.sidecar.kept.passes import KeptPass

_BLACK: Colour = (28, 28, 28)
_GAP, _TEXT, _TITLE, _WIDTH = 14, 2, 3, 1280
_MAP, _SMALL_MAP = 384, 192
"""Sides of a heat map where there are few, and where there are many."""
_FEW = 4
_MATRIX, _CELL, _LARGE_CELL = 180, 6, 16
_BAND, _BAND_HEIGHT = 768, 8


def picture(kept: KeptPass) -> bytes:
    """The PNG. White to dark blue: of a heat map by the square root from 0 to 1, else as the titles say."""
    finding = kept.finding
    maps = [layer for layer in kept.layers if layer.heat_bins]
    side = _MAP if len(maps) <= _FEW else _SMALL_MAP
    found = list(matrices(kept))
    parts = [_text(f"{finding.check}  {finding.model} {finding.model_version}  {finding.severity.value}", _TITLE)]
    parts += _rows_of([_titled(f"layer {one.layer} head {one.heat_head}", _heat(one, side)) for one in maps])
    parts += _rows_of([_titled(one.told, _matrix(one)) for one in found if not one.is_even])
    parts += _rows_of([_text(one.told) for one in found if one.is_even])
    if kept.facts.positions:
        parts.append(_titled(f"positions, {len(kept.facts.positions)} rows", _positions(kept.facts)))
    return png(with_margin(stacked(parts, _GAP), _GAP))


def _heat(layer: AttentionFacts, side: int) -> Lines:
    size = max(side // layer.heat_bins, 1)
    lines = zip(mean_heat(layer), layer.heat_rows, strict=True)
    return framed(squares([[of_mass(mass) if rows else GREY for mass in line] for line, rows in lines], size, size))


def _matrix(matrix: Matrix) -> Lines:
    """Layers downwards, heads rightwards."""
    size = max(_CELL, min(_LARGE_CELL, _MATRIX // len(matrix.heads)))
    cells = [[GREY if value is None else matrix.colour(value) for value in line] for line in matrix.values]
    return framed(squares(cells, size, size))


def _positions(facts: ForwardFacts) -> Lines:
    real = [value for row in facts.positions for value in row if value != ABSENT]
    low, span = min(real, default=0), max(max(real, default=0) - min(real, default=0), 1)
    cells = [[GREY if v == ABSENT else shade((v - low) / span) for v in row] for row in facts.positions]
    return framed(squares(cells, max(1, _BAND // len(facts.position_columns)), _BAND_HEIGHT))


def _text(words: str, size: int = _TEXT) -> Lines:
    return squares([[_BLACK if point else WHITE for point in line] for line in written(words)], size, size)


def _titled(title: str, part: Lines) -> Lines:
    return stacked([_text(title), part], _GAP // 3)


def _rows_of(parts: list[Lines]) -> list[Lines]:
    """The parts side by side, as many as the width takes."""
    each = max(map(width, parts), default=0) + _GAP
    count = max(_WIDTH // each, 1)
    return [beside(parts[at : at + count], each) for at in range(0, len(parts), count)]
