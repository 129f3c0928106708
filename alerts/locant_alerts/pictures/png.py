"""The same timeline as PNG, drawn by matplotlib, which is an optional package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from locant_alerts.pictures.axes import lowest_budget, smallest_ratio, time_marks
from locant_alerts.pictures.timeline import Lane, Timeline
from locant_slo.errors import MachineError

_COLOURS = {"page": "#c62828", "ticket": "#d98200", "incident": "#c62828"}
_CURVE = "#1f5fbf"


def write_png(lines: list[Timeline], path: Path) -> None:
    """All timelines below each other. Raises MachineError when matplotlib is missing or the file cannot be written."""
    if find_spec("matplotlib") is None:
        raise MachineError(
            f"{path}: drawing PNG needs matplotlib; run pip install 'locant[picture]', or name an .html file"
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5 * len(lines)), layout="constrained")
    FigureCanvasAgg(figure)
    for line, part in zip(lines, figure.subfigures(len(lines), 1, squeeze=False)[:, 0], strict=True):
        _draw(line, part)
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written ({error.strerror}); choose another place") from error


def _draw(line: Timeline, part: Any) -> None:
    part.suptitle(line.title, fontsize=10)
    ratio, lanes, budget = part.subplots(3, 1, sharex=True, height_ratios=[3, 0.3 * len(line.lanes) + 0.2, 1.3])
    times = [0.0, *(column.end_seconds for column in line.columns)]
    _stairs(ratio, times, [column.error_ratio for column in line.columns])
    for tier, value in line.thresholds:
        ratio.axhline(value, color=_COLOURS["ticket"], linestyle="--", linewidth=0.8)
        ratio.annotate(
            f" {tier} {value:.2%}", (1.0, value), xycoords=("axes fraction", "data"), fontsize=7, va="center"
        )
    ratio.set(yscale="log", ylim=(smallest_ratio(line), 1), ylabel="error ratio")
    for row, lane in enumerate(line.lanes):
        _bars(lanes, row, lane)
    lanes.set(ylim=(len(line.lanes), 0), yticks=[row + 0.5 for row in range(len(line.lanes))])
    lanes.set_yticklabels([lane.name for lane in line.lanes], fontsize=7)
    _stairs(budget, times, [column.budget_remaining for column in line.columns])
    low = lowest_budget(line)
    budget.set(ylim=(low * 1.05, 1.05), ylabel="budget left", xlim=(0, line.seconds))
    marks = list(time_marks(line))
    budget.set_xticks([share * line.seconds for share, _ in marks])
    budget.set_xticklabels([words for _, words in marks], fontsize=7)


def _stairs(axes: Any, times: list[float], values: list[float | None]) -> None:
    axes.stairs([float("nan") if value is None else value for value in values], times, baseline=None, color=_CURVE)


def _bars(axes: Any, row: int, lane: Lane) -> None:
    spans = [(start, end - start) for start, end in lane.spans]
    axes.broken_barh(spans, (row + 0.2, 0.6), color=_COLOURS[lane.severity], linewidth=1)
