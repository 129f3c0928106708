"""Heat maps and position curves as SVG, to stand inside a page."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import ABSENT, AttentionFacts, ForwardFacts

_SQUARE = 18
_WIDTH, _HEIGHT, _MARGIN = 640, 260, 44
_COLOURS = ("#1b6ca8", "#c2571a", "#2f8f5b", "#8a4fb0", "#b0203a", "#6b6b1f", "#11808c", "#444444")


def mean_heat(layer: AttentionFacts) -> tuple[tuple[float, ...], ...]:
    """Mean mass of a row, from query bin to key bin; zeros where no row of the bin was sampled."""
    bins = layer.heat_bins
    return tuple(
        tuple(mass / max(rows, 1) for mass in layer.heat[bin_ * bins : (bin_ + 1) * bins])
        for bin_, rows in enumerate(layer.heat_rows)
    )


def heat_svg(layer: AttentionFacts) -> str:
    """Squares from white to blue, the queries downwards; each says its number when it is pointed at."""
    heat = mean_heat(layer)
    most = max((value for line in heat for value in line), default=0.0) or 1.0
    size = layer.heat_bins * _SQUARE
    squares = "".join(
        f'<rect x="{key * _SQUARE}" y="{query * _SQUARE}" width="{_SQUARE}" height="{_SQUARE}" '
        f'fill="{shade(value / most)}"><title>query bin {query}, key bin {key}: {value:.6g}</title></rect>'
        for query, line in enumerate(heat)
        for key, value in enumerate(line)
    )
    return f'<svg class="heat" role="img" viewBox="0 0 {size} {size}" width="{size}">{squares}</svg>'


def shade(share: float) -> str:
    """A colour between white (0) and dark blue (1)."""
    return "#" + "".join(f"{round(light + (dark - light) * share):02x}" for light, dark in shade_ends())


def shade_ends() -> tuple[tuple[int, int], ...]:
    """(white, dark blue) of the three channels."""
    return ((255, 8), (255, 48), (255, 107))


def positions_svg(facts: ForwardFacts) -> str:
    """A curve a row: the effective position over the column of the call; padding leaves gaps."""
    real = [value for row in facts.positions for value in row if value != ABSENT]
    if not real:
        return ""
    low, high = min(real), max(real)
    right = max(facts.position_columns[-1], 1)

    def place(column: int, position: int) -> str:
        x = _MARGIN + column / right * (_WIDTH - 2 * _MARGIN)
        y = _HEIGHT - _MARGIN - (position - low) / max(high - low, 1) * (_HEIGHT - 2 * _MARGIN)
        return f"{x:.1f},{y:.1f}"

    curves = "".join(
        f'<polyline fill="none" stroke="{_COLOURS[row % len(_COLOURS)]}" points="{" ".join(place(*at) for at in run)}">'
        f"<title>row {row}: columns {run[0][0]} to {run[-1][0]}, positions {run[0][1]} to {run[-1][1]}</title>"
        "</polyline>"
        for row, line in enumerate(facts.positions)
        for run in _runs(facts.position_columns, line)
    )
    words = (
        f'<text x="2" y="{_HEIGHT - _MARGIN}">{low}</text><text x="2" y="{_MARGIN}">{high}</text>'
        f'<text x="{_MARGIN}" y="{_HEIGHT - 12}">column 0</text>'
        f'<text x="{_WIDTH - _MARGIN}" y="{_HEIGHT - 12}" text-anchor="end">column {right}</text>'
    )
    return f'<svg class="positions" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}">{curves}{words}</svg>'


def _runs(columns: tuple[int, ...], positions: tuple[int, ...]) -> Iterator[list[tuple[int, int]]]:
    """Neighbouring columns that are no padding; a single one is drawn as a dot of a line."""
    run: list[tuple[int, int]] = []
    for column, position in zip(columns, positions, strict=True):
        if position != ABSENT:
            run.append((column, position))
        elif run:
            yield run
            run = []
    if run:
        yield run
