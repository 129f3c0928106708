"""Recording rules for what time it is: local time, the calendar's period, maintenance, the quiet after a release."""

from __future__ import annotations

from collections.abc import Iterator

from locant_alerts.model import Group, Recording
from locant_slo import names, promql
from locant_slo.clock import KNOWN_FROM, offset_expr
from locant_slo.counts import base_interval_seconds
from locant_slo.durations import format_duration
from locant_slo.expression import narrowed
from locant_slo.spec import Spec
from locant_slo.times import DAYS, WEEK_SECONDS, Calendar, Deploys, Maintenance, Once, Weekly, While

_MEMORY = "1h"
"""A release that was seen within the hour before is not new: pods that restart, scrapes that fail."""
_EPOCH_WEEKDAY_SECONDS = 4 * 86_400
"""Unix time began on a Thursday, four days into a week of Sundays first."""


def time_group(spec: Spec) -> tuple[Group, ...]:
    """The group that stands before all others, where the spec speaks of time at all."""
    rules = (*_offsets(spec), *_periods(spec), *_maintenance(spec), *_deploys(spec))
    return (Group(f"{spec.service}/time", base_interval_seconds(spec), rules),) if rules else ()


def calendars(spec: Spec) -> tuple[Calendar, ...]:
    """Every calendar that some objective is promised over, once."""
    return tuple(dict.fromkeys(item.calendar for item in spec.objectives if item.calendar is not None))


def _who(spec: Spec) -> dict[str, str]:
    return {names.SERVICE: spec.service}


def _offsets(spec: Spec) -> Iterator[Recording]:
    weekly = (item.time_zone for item in spec.maintenance if isinstance(item, Weekly))
    for zone in dict.fromkeys((*(calendar.time_zone for calendar in calendars(spec)), *weekly)):
        yield Recording(names.UTC_OFFSET, f"vector({offset_expr(zone)})", {**_who(spec), names.TIME_ZONE: zone})


def _local(spec: Spec, zone: str) -> str:
    """A scalar: seconds since the epoch as a clock on the wall counts them."""
    return f"time() + scalar({promql.selector(names.UTC_OFFSET, {**_who(spec), names.TIME_ZONE: zone})})"


def _periods(spec: Spec) -> Iterator[Recording]:
    for calendar in calendars(spec):
        labels = {**_who(spec), names.CALENDAR: calendar.period, names.TIME_ZONE: calendar.time_zone}
        number = _PERIODS[calendar.period].replace("LOCAL", f"vector({_local(spec, calendar.time_zone)})")
        yield Recording(names.PERIOD_INFO, f'count_values("{names.PERIOD}", {number})', labels)


_MONDAY = "(LOCAL - 86400 * ((day_of_week(LOCAL) + 6) % 7))"
_PERIODS = {
    "week": f"year({_MONDAY}) * 10000 + month({_MONDAY}) * 100 + day_of_month({_MONDAY})",
    "month": "year(LOCAL) * 100 + month(LOCAL)",
    "quarter": "year(LOCAL) * 10 + ceil(month(LOCAL) / 3)",
}
"""A number that changes when a period begins, and reads as one: 20261123 (its Monday), 202611, 20264."""


def _maintenance(spec: Spec) -> Iterator[Recording]:
    for item in spec.maintenance:
        yield Recording(names.MAINTENANCE, _active(spec, item), {**_who(spec), names.STRETCH: item.name})


def _active(spec: Spec, item: Maintenance) -> str:
    if isinstance(item, While):
        return f"group ({item.condition})"
    if isinstance(item, Once):
        start = int(item.at.timestamp())
        return f"vector(1) and on () (vector(time()) >= {start} < {start + item.lasts})"
    hours, minutes = map(int, item.start.split(":"))
    starts = (DAYS.index(day) * 86_400 + hours * 3_600 + minutes * 60 for day in item.days)
    since = _local(spec, item.time_zone)
    days = (
        f"vector(({since} + {_EPOCH_WEEKDAY_SECONDS + WEEK_SECONDS - start}) % {WEEK_SECONDS}) < {item.lasts}"
        for start in starts
    )
    # before the table of clock changes begins, nothing is known of local time
    return f"vector(1) and on () (vector(time()) >= {KNOWN_FROM}) and on () ({' or '.join(days)})"


def _deploys(spec: Spec) -> Iterator[Recording]:
    if spec.deploys is not None:
        yield Recording(names.DEPLOY, fresh_releases(spec, spec.deploys), _who(spec))


def fresh_releases(spec: Spec, deploys: Deploys) -> str:
    """Releases that were not there before the quiet began, of something that was: a first start is no change."""
    series, by = narrowed(deploys.series, spec.selector), promql.grouping(deploys.by)
    release = promql.grouping((*deploys.by, deploys.release))
    before = f"last_over_time({series}[{_MEMORY}] offset {format_duration(deploys.quiet)})"
    new = f"group {release} ({series}) unless group {release} ({before})"
    return f"group {by} ({new}) and group {by} ({before})"
