"""A stretch of the week as Alertmanager's time intervals, which end at midnight and name weekdays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from locant_slo.times import DAYS, Weekly

_MIDNIGHT = 1_440
_NAMES = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


def weekly_intervals(item: Weekly) -> Iterator[dict[str, Any]]:
    """One interval for each day and each midnight that the stretch crosses. Alertmanager reckons in minutes."""
    hours, minutes = map(int, item.start.split(":"))
    for day in item.days:
        index, start, left = DAYS.index(day), 60 * hours + minutes, -(-item.lasts // 60)
        while left > 0:
            end = min(_MIDNIGHT, start + left)
            yield {
                "weekdays": [_NAMES[index % 7]],
                "times": [{"start_time": _clock(start), "end_time": _clock(end)}],
                **({} if item.time_zone == "UTC" else {"location": item.time_zone}),
            }
            index, start, left = index + 1, 0, left - (end - start)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
