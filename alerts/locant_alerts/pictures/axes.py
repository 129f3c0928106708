"""Where values stand on a picture: a logarithmic axis for ratios, round marks on time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from locant_alerts.pictures.timeline import Timeline
from locant_slo.durations import format_duration

_MARKS_SECONDS = (60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000)
_MOST_MARKS = 9
_LARGEST_OVERDRAFT = 1.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a picture; y grows downwards."""

    left: float
    top: float
    width: float
    height: float

    def across(self, share: float) -> float:
        """x of a share of the width."""
        return self.left + self.width * share

    def up(self, share: float) -> float:
        """y of a share of the height, from the bottom; what lies outside stays at the edge."""
        return self.top + self.height * (1 - min(1.0, max(0.0, share)))


def smallest_ratio(line: Timeline) -> float:
    """The power of ten at the foot of the ratio's axis: below the lowest threshold."""
    lowest = min((value for _, value in line.thresholds), default=0.01)
    return float(10.0 ** (math.floor(math.log10(lowest)) - 1))


def ratio_share(ratio: float, foot: float) -> float:
    """How high a ratio stands between `foot` and 1; 0 for those below."""
    return 0.0 if ratio <= foot else 1 - math.log10(ratio) / math.log10(foot)


def lowest_budget(line: Timeline) -> float:
    """The foot of the budget's axis: 0, or below where it was overspent, down to minus 100 %."""
    least = min((column.budget_remaining for column in line.columns if column.budget_remaining is not None), default=0)
    return max(-_LARGEST_OVERDRAFT, min(0.0, least))


def time_marks(line: Timeline) -> Iterator[tuple[float, str]]:
    """Share of the width and words of each mark: moments in UTC, or times since the start."""
    every = next((mark for mark in _MARKS_SECONDS if line.seconds / mark <= _MOST_MARKS), _MARKS_SECONDS[-1])
    offset = 0.0 if line.start_seconds is None else -line.start_seconds % every
    marks = int((line.seconds - offset) // every) + 1 if line.seconds >= offset else 0
    for seconds in (offset + every * n for n in range(marks)):
        yield seconds / line.seconds, _words(line, seconds, every)


def _words(line: Timeline, seconds: float, every: int) -> str:
    if line.start_seconds is None:
        return f"+{format_duration(int(seconds))}" if seconds else "0"
    moment = datetime.fromtimestamp(line.start_seconds + seconds, timezone.utc)
    return moment.strftime("%m-%d" if every >= 86_400 else "%m-%d %H:%M")
