"""Moments as people write them: ISO 8601 with a zone, or Unix seconds."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_UNIX = re.compile(r"\d{1,12}(\.\d{1,9})?")
_LAST_SECONDS = 253_402_300_799
"""The end of the year 9999, beyond which no calendar here reaches."""


def parse_moment(text: str) -> float:
    """Unix seconds of `2026-11-20T10:00:00Z`, `2026-11-20` (midnight, UTC) or `1763632800`.

    Raises ValueError with a sentence when the text is none of them.
    """
    if _UNIX.fullmatch(text) and float(text) <= _LAST_SECONDS:
        return float(text)
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no moment; write 2026-11-20T10:00:00Z or Unix seconds") from error


def format_moment(seconds: float) -> str:
    """`2026-11-20 10:00 UTC`."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
