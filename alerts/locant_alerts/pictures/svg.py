"""A timeline as SVG: ratio and thresholds, firings, budget, traffic. Colours are classes; the page gives them."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from locant_alerts.pictures.axes import Box, lowest_budget, ratio_share, smallest_ratio, time_marks
from locant_alerts.pictures.timeline import Column, Timeline

_WIDTH, _LEFT, _RIGHT = 960, 110, 120
_RATIO_HEIGHT, _LANE_HEIGHT, _PANEL_HEIGHT, _GAP = 200, 18, 80, 26
_SHORTEST_BAR = 2.0
_FOOT = 30


def svg(line: Timeline) -> str:
    """One `<svg>` element; it scales with the page."""
    body_width = _WIDTH - _LEFT - _RIGHT
    ratio = Box(_LEFT, 20, body_width, _RATIO_HEIGHT)
    lanes = Box(_LEFT, ratio.top + ratio.height + _GAP, body_width, _LANE_HEIGHT * len(line.lanes))
    budget = Box(_LEFT, lanes.top + lanes.height + _GAP, body_width, _PANEL_HEIGHT)
    traffic = Box(_LEFT, budget.top + budget.height + _GAP, body_width, _PANEL_HEIGHT / 2)
    height = traffic.top + traffic.height + _FOOT
    parts = [
        *_time(line, traffic.top + traffic.height, ratio),
        *_incidents(line, Box(_LEFT, ratio.top, body_width, traffic.top + traffic.height - ratio.top)),
        *_ratio(line, ratio),
        *_lanes(line, lanes),
        *_budget(line, budget),
        *_traffic(line, traffic),
    ]
    label = escape(line.title, quote=True)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def _text(x: float, y: float, words: str, kind: str = "note", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _bar(x: float, y: float, width: float, height: float, kind: str, words: str = "") -> str:
    inside = f"<title>{escape(words)}</title>" if words else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}">{inside}</rect>'


def _span(line: Timeline, box: Box, start: float, end: float) -> tuple[float, float]:
    """Left edge and width of a stretch of time, wide enough to be seen."""
    left = box.across(start / line.seconds)
    return left, max(_SHORTEST_BAR, box.across(end / line.seconds) - left)


def _incidents(line: Timeline, box: Box) -> Iterator[str]:
    for lane in line.lanes:
        if lane.severity == "incident":
            for start, end in lane.spans:
                left, width = _span(line, box, start, end)
                yield _bar(left, box.top, width, box.height, "shade")


def _ratio(line: Timeline, box: Box) -> Iterator[str]:
    foot = smallest_ratio(line)
    yield _text(box.left, box.top - 7, "error ratio", "head")
    mark = 1.0
    while mark >= foot * 0.99:
        y = box.up(ratio_share(mark, foot))
        yield _rule(box.left, y, box.left + box.width, y, "grid")
        yield _text(box.left - 6, y + 4, f"{mark * 100:g}%", anchor="end")
        mark /= 10
    for tier, value in line.thresholds:
        y = box.up(ratio_share(value, foot))
        yield _rule(box.left, y, box.left + box.width, y, "limit")
        yield _text(box.left + box.width + 6, y + 4, f"{tier} {value:.2%}")
    yield from _curve(
        line, box, [None if c.error_ratio is None else ratio_share(c.error_ratio, foot) for c in line.columns]
    )


def _curve(line: Timeline, box: Box, shares: list[float | None]) -> Iterator[str]:
    """A stepped line through the columns; it breaks where there is no value."""
    path, drawing = [], False
    start = 0.0
    for column, share in zip(line.columns, shares, strict=True):
        if share is not None:
            y = box.up(share)
            path.append(f"{'L' if drawing else 'M'}{box.across(start / line.seconds):.1f} {y:.1f}")
            path.append(f"H{box.across(column.end_seconds / line.seconds):.1f}")
        drawing = share is not None
        start = column.end_seconds
    if path:
        yield f'<path d="{"".join(path)}" class="curve"/>'


def _lanes(line: Timeline, box: Box) -> Iterator[str]:
    for row, lane in enumerate(line.lanes):
        top = box.top + row * _LANE_HEIGHT
        yield _text(box.left - 6, top + 12, lane.name, anchor="end")
        yield _rule(box.left, top + _LANE_HEIGHT, box.left + box.width, top + _LANE_HEIGHT, "grid")
        yield _text(box.left + box.width + 6, top + 12, f"{lane.severity}, {len(lane.spans)} times")
        for start, end in lane.spans:
            left, width = _span(line, box, start, end)
            yield _bar(left, top + 3, width, _LANE_HEIGHT - 6, lane.severity, f"{lane.name}: {end - start:g} s")


def _budget(line: Timeline, box: Box) -> Iterator[str]:
    low = lowest_budget(line)
    yield _text(box.left, box.top - 7, "error budget left", "head")
    for value in sorted({low, 0.0, 1.0}):
        y = box.up((value - low) / (1 - low))
        yield _rule(box.left, y, box.left + box.width, y, "grid")
        yield _text(box.left - 6, y + 4, f"{value:.0%}", anchor="end")
    yield from _curve(line, box, [_budget_share(column, low) for column in line.columns])
    known = [column.budget_remaining for column in line.columns if column.budget_remaining is not None]
    if known:
        yield _text(box.left + box.width + 6, box.up((known[-1] - low) / (1 - low)) + 4, f"{known[-1]:.0%} at the end")


def _budget_share(column: Column, low: float) -> float | None:
    return None if column.budget_remaining is None else (column.budget_remaining - low) / (1 - low)


def _traffic(line: Timeline, box: Box) -> Iterator[str]:
    most = max((column.events_per_second for column in line.columns), default=0.0)
    yield _text(box.left, box.top - 7, "events a second", "head")
    yield _text(box.left - 6, box.top + 6, f"{most:.3g}", anchor="end")
    yield _rule(box.left, box.top + box.height, box.left + box.width, box.top + box.height, "grid")
    yield from _curve(line, box, [column.events_per_second / most if most else 0.0 for column in line.columns])


def _time(line: Timeline, bottom: float, top: Box) -> Iterator[str]:
    for share, words in time_marks(line):
        x = top.across(share)
        yield _rule(x, top.top, x, bottom, "grid")
        yield _text(x, bottom + 16, words, anchor="middle")
