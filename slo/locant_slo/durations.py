"""Prometheus durations: `90s`, `5m`, `1h30m`, `30d`, in whole seconds."""

from __future__ import annotations

import re

_MOST_CHARACTERS = 40
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
LONGEST_SECONDS = 3_650 * 86_400
"""Ten years: nobody keeps samples for longer, and Prometheus itself ends at some 290."""
_PATTERN = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(text: str) -> int:
    """Seconds of a duration such as `1h30m`.

    Raises ValueError with a sentence when the text is none, is zero, or is longer than ten years.
    """
    match = _PATTERN.fullmatch(text) if len(text) <= _MOST_CHARACTERS else None
    seconds = sum(int(n) * s for n, s in zip(match.groups(), _SECONDS.values(), strict=True) if n) if match else 0
    if seconds <= 0:
        raise ValueError(
            f"{text[:_MOST_CHARACTERS]!r} is no duration; write a number and a unit, as in 30s, 5m, 6h, 3d or 4w"
        )
    if seconds > LONGEST_SECONDS:
        raise ValueError(f"{text!r} is longer than ten years; write 3650d or less")
    return seconds


def spoken_duration(seconds: float) -> str:
    """About how long, in the two largest units: 93,784 seconds give `1d 2h`."""
    left = round(seconds)
    said: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _SECONDS[unit])
        said += [f"{count}{unit}"] if count or (unit == "s" and not said) else []
        if len(said) == 2 or (said and not count):
            break
    return " ".join(said)


def format_duration(seconds: int) -> str:
    """The shortest exact duration in one unit: 3600 gives `1h`, 5400 gives `90m`. Weeks are written as days."""
    for unit in ("d", "h", "m"):
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"
