"""One objective's account at the end of a period: counts, budget, days and hours. None stands for "nobody knows"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from locant_alerts.history.stretch import History, Incident, runs
from locant_alerts.replay import Traffic
from locant_slo.spec import Objective

HOUR_SECONDS, DAY_SECONDS = 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Count:
    """Events and bad events of a stretch that begins at `start_seconds`."""

    start_seconds: float
    events: int
    bad: int

    @property
    def error_ratio(self) -> float | None:
        """None where nothing happened."""
        return self.bad / self.events if self.events else None


@dataclass(frozen=True, slots=True)
class Account:
    """What an objective's traffic adds up to: over its window, over the period, and over the period before."""

    objective: Objective
    history: History
    period_seconds: int

    @property
    def window(self) -> Count:
        """The objective's own window, up to the end."""
        return self._last(window_seconds(self.objective, self.end_seconds))

    @property
    def end_seconds(self) -> float:
        """When the period ends."""
        return self.history.start_seconds + self.history.seconds

    @property
    def period(self) -> Count:
        """The period under review."""
        return self._last(self.period_seconds)

    @property
    def period_before(self) -> Count:
        """As long, and just before it."""
        both, one = self._last(2 * self.period_seconds), self.period
        return Count(both.start_seconds, both.events - one.events, both.bad - one.bad)

    @property
    def known_ratio(self) -> float:
        """Share of the window in which somebody reported."""
        seconds = window_seconds(self.objective, self.end_seconds)
        steps = max(1, seconds // self.history.traffic.step_seconds)
        total = len(self.history.traffic.events)
        first = max(0, total - steps)
        unseen = sum(max(0, end - max(first, start)) for start, end in self.history.unseen)
        return (total - first - unseen) / steps

    def spent(self, count: Count) -> float | None:
        """Share of the whole window's budget that a stretch of it cost; None while the window has no event."""
        allowed = self.window.events * float(1 - self.objective.target)
        return count.bad / allowed if allowed else None

    def days(self) -> Iterator[Count]:
        """The days of the period, the last one ends with it."""
        return self._parts(DAY_SECONDS)

    def worst_hours(self, most: int) -> list[Count]:
        """The hours of the period with the most bad events, the worst first."""
        hours = [hour for hour in self._parts(HOUR_SECONDS) if hour.bad]
        return sorted(hours, key=lambda hour: (-hour.bad, hour.start_seconds))[:most]

    def _parts(self, seconds: int) -> Iterator[Count]:
        count = -(-self.period_seconds // seconds)
        for back in range(count, 0, -1):
            yield self._between(back * seconds, (back - 1) * seconds)

    def _last(self, seconds: int) -> Count:
        return self._between(seconds, 0)

    def _between(self, start: int, end: int) -> Count:
        """The steps between two times before the end."""
        traffic, total = self.history.traffic, len(self.history.traffic.events)
        first = max(0, total - start // traffic.step_seconds)
        last = max(first, total - end // traffic.step_seconds)
        begins = self.history.start_seconds + first * traffic.step_seconds
        return Count(begins, sum(traffic.events[first:last]), sum(traffic.bad[first:last]))


def window_seconds(objective: Objective, end_seconds: float) -> int:
    """How far the objective's budget reaches back: over its rolling window, or to the beginning of the calendar's.

    At the very end of a period it is that period: a review at midnight is of the month that is over.
    """
    if objective.calendar is None:
        return objective.window
    end = datetime.fromtimestamp(end_seconds - 1, ZoneInfo(objective.calendar.time_zone))
    day = end.replace(hour=0, minute=0, second=0, microsecond=0)
    start = {
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
        "quarter": day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
    }[objective.calendar.period]
    return max(1, round(end_seconds - start.timestamp()))


def together(histories: Sequence[History]) -> History:
    """Groups of the same time as one. What one of them reported was seen."""
    first = histories[0]
    events = tuple(map(sum, zip(*(history.traffic.events for history in histories), strict=True)))
    bad = tuple(map(sum, zip(*(history.traffic.bad for history in histories), strict=True)))
    return History(
        Traffic(first.traffic.step_seconds, events, bad),
        first.start_seconds,
        incidents=first.incidents,
        unseen=_in_all([history.unseen for history in histories], len(first.traffic.events)),
        excluded=_in_all([history.excluded for history in histories], len(first.traffic.events)),
    )


def _in_all(groups: Sequence[Sequence[Incident]], steps: int) -> tuple[Incident, ...]:
    """The steps that lie in a stretch of every group."""
    marks = [True] * steps
    for stretches in groups:
        free_from = 0
        for start, end in (*stretches, (steps, steps)):
            marks[free_from:start] = [False] * (start - free_from)
            free_from = end
    return runs(marks)


def by_budget(histories: Sequence[History], group: Sequence[str]) -> list[tuple[str, list[History]]]:
    """The histories that share a budget, with its name: a new release does not buy a new one."""
    shared: dict[str, list[History]] = {}
    for history in histories:
        name = " ".join(value for label, value in history.labels.items() if label in group)
        shared.setdefault(name, []).append(history)
    return sorted(shared.items())
