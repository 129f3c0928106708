"""OpenSLO's durations and time windows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from locant_slo.durations import format_duration
from locant_slo.interop.place import Place

_SHORTHAND = re.compile(r"([0-9]{1,6})([mhdwMQY])")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "M": 2_592_000, "Q": 7_776_000, "Y": 31_536_000}
_INEXACT = {"M": "30 days", "Q": "90 days", "Y": "365 days"}
_PERIODS = {"1w": "week", "7d": "week", "1M": "month", "1Q": "quarter", "3M": "quarter"}
_LETTERS = {"week": "w", "month": "M", "quarter": "Q"}
_DEFAULT_SECONDS = 2_592_000


@dataclass(frozen=True, slots=True)
class Window:
    """How long it is in seconds, and how `slo.yaml` says it."""

    seconds: int
    content: Mapping[str, object]


def shorthand(place: Place, key: str, default: int = 0, *, may_be_zero: bool = False) -> int:
    """Seconds of a duration such as `4w`; months, quarters and years in round days, which is noted."""
    text = place.text(key)
    if not text:
        return default
    match = _SHORTHAND.fullmatch(text)
    if match is None or not (may_be_zero or int(match[1])):
        place.fault(key, f"{text!r} is no duration; write a number and one of m, h, d, w, M, Q, Y")
        return default
    if match[2] in _INEXACT:
        place.note(key, f"{match[2]} is taken for {_INEXACT[match[2]]}")
    return int(match[1]) * _SECONDS[match[2]]


def window_of(spec: Place) -> Window:
    """The SLO's window: rolling, or a calendar's."""
    windows = spec.children("timeWindow")
    if not windows:
        spec.note("timeWindow", "no window is given; 30 days, rolling, are taken")
        return _rolling(_DEFAULT_SECONDS)
    if len(windows) > 1:
        windows[1].note("", "an SLO has one window; the first is taken")
    first = windows[0]
    rolls = first.flag("isRolling", default=not first.has("calendar"))
    if first.has("calendar") or not rolls:
        return _calendar(first)
    return _rolling(shorthand(first, "duration", _DEFAULT_SECONDS))


def _rolling(seconds: int) -> Window:
    return Window(seconds, {"window": format_duration(seconds)})


def _calendar(window: Place) -> Window:
    text = window.text("duration")
    if text == "1m":
        window.note("duration", "1m is one minute by the standard, and its own example means a month; a month is taken")
        text = "1M"
    period = _PERIODS.get(text)
    if period is None:
        seconds = shorthand(window, "duration", _DEFAULT_SECONDS)
        window.note("duration", f"a calendar here is a week, a month or a quarter; {text} became a rolling window")
        return _rolling(seconds)
    calendar = window.child("calendar")
    start = calendar.text("startTime")
    if start and not re.fullmatch(r"\d{4}-\d\d-01( 00:00(:00)?)?", start.replace("T", " ")):
        window.note("calendar.startTime", f"a {period} begins with the calendar's own here, not at {start}")
    zone = calendar.text("timeZone")
    content = {"period": period, **({"time_zone": zone} if zone else {})}
    return Window(_SECONDS[_LETTERS[period]], {"calendar": content})
