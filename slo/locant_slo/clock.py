"""Local time as PromQL: a zone's offset from UTC, with every change of the clocks from 2024 to 2039.

PromQL knows UTC alone. The changes come from the time zone database of the machine that generates, so a country that
changes its rules needs a new database and new rules; after 2039 the last offset stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

KNOWN_FROM = int(datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp())
KNOWN_UNTIL = int(datetime(2039, 1, 1, tzinfo=timezone.utc).timestamp())
_DAY_SECONDS = 86_400


@lru_cache
def changes(zone: str) -> tuple[tuple[int, int], ...]:
    """Moments in Unix seconds, each with the offset in seconds that holds from then on; the first is `KNOWN_FROM`."""
    info = ZoneInfo(zone)
    return ((KNOWN_FROM, _offset(info, KNOWN_FROM)), *_changes(info))


def offset_expr(zone: str) -> str:
    """A scalar: the seconds by which local time is ahead of UTC."""
    (_, first), *later = changes(zone)
    parts, before = [str(first)], first
    for moment, offset in later:
        parts.append(f"{offset - before:+d} * (time() >= bool {moment})")
        before = offset
    return " ".join(
        part.replace("+", "+ ", 1) if part.startswith("+") else part.replace("-", "- ", 1) for part in parts
    )


def _changes(info: ZoneInfo) -> Iterator[tuple[int, int]]:
    for day in range(KNOWN_FROM, KNOWN_UNTIL, _DAY_SECONDS):
        before, after = _offset(info, day), _offset(info, day + _DAY_SECONDS)
        if before != after:
            yield _moment(info, day, day + _DAY_SECONDS, before), after


def _moment(info: ZoneInfo, low: int, high: int, before: int) -> int:
    """The second from which the offset is no longer `before`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(info, middle) == before else (low, middle)
    return high


def _offset(info: ZoneInfo, moment: int) -> int:
    offset = datetime.fromtimestamp(moment, info).utcoffset()
    assert offset is not None  # an aware time has one
    return int(offset.total_seconds())
