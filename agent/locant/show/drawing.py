"""Heat maps and position curves as SVG, to stand inside a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from locant.observation import ABSENT, AttentionFacts, ForwardFacts
from locant.show.matrices import Matrix
from locant.show.scale import GREY, WHITE, hexed, of_mass

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
    bins = layer.heat_bins
    shades: defaultdict[str, list[str]] = defaultdict(list)
    for query, (line, rows) in enumerate(zip(mean_heat(layer), layer.heat_rows, strict=True)):
        if not rows:
            shades[hexed(GREY)].append(_square(0, query, bins, f"query bin {query}: no row was sampled"))
        for key, mass in enumerate(line):
            if rows and of_mass(mass) != WHITE:
                told = f"query bin {query}, key bin {key}: {mass:.6g}"
                shades[hexed(of_mass(mass))].append(_square(key, query, 1, told))
    return _svg("heat", bins, bins, shades)


def matrix_svg(matrix: Matrix) -> str:
    """Layers downwards, heads rightwards; each square says its number when it is pointed at."""
    shades: defaultdict[str, list[str]] = defaultdict(list)
    for y, (layer, line) in enumerate(zip(matrix.layers, matrix.values, strict=True)):
        for x, (head, value) in enumerate(zip(matrix.heads, line, strict=True)):
            colour = GREY if value is None else matrix.colour(value)
            told = f"layer {layer}, head {head}: {'not read' if value is None else f'{value:.4g}'}"
            shades[hexed(colour)].append(_square(x, y, 1, told))
    return _svg("heat", len(matrix.heads), len(matrix.layers), shades)


def _square(x: int, y: int, width: int, told: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="1"><title>{told}</title></rect>'


def _svg(name: str, width: int, height: int, shades: Mapping[str, list[str]]) -> str:
    groups = "".join(f'<g fill="{colour}">{"".join(squares)}</g>' for colour, squares in shades.items())
    return f'<svg class="{name}" role="img" shape-rendering="crispEdges" viewBox="0 0 {width} {height}">{groups}</svg>'


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
        f'<polyline fill="none" stroke="{_COLOURS[row % len(_COLOURS)]}" '
        f'points="{" ".join(place(*at) for at in _corners(run))}">'
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


def _corners(run: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The points of a run at which it bends, and its ends."""
    bends = [
        here
        for before, here, after in zip(run, run[1:], run[2:], strict=False)
        if (here[1] - before[1]) * (after[0] - here[0]) != (after[1] - here[1]) * (here[0] - before[0])
    ]
    return [run[0], *bends, run[-1]]


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
