"""The agent's own log: one line an event, as text or as JSON, on standard error, and never a flood of them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable

_LINES = 10
_SECONDS = 60.0
_MOST_EVENTS = 1024


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class RateLimit(logging.Filter):
    """Ten lines a minute of each event, that is of each place in the code; the next one says how many are missing.

    Whoever can make an agent log (a client, a probe, a full disk) must not be able to fill its host's disk.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._events: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written."""
        event, now = (record.pathname, record.lineno), self._monotonic()
        since, lines = self._events.get(event, (now, 0))
        if now - since >= _SECONDS:
            since, missing, lines = now, max(lines - _LINES, 0), 0
            if missing:
                record.msg, record.args = f"{record.getMessage()} (and {missing} more like it, not written)", ()
        if len(self._events) < _MOST_EVENTS or event in self._events:
            self._events[event] = (since, lines + 1)
        return lines < _LINES


def configure_logging(style: str, level: int = logging.INFO) -> None:
    """Send Locant's log to standard error in `style`, text or json. Called by the command line only."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.addFilter(RateLimit())
    handler.setFormatter(JsonFormatter() if style == "json" else text)
    for name in ("locant", "locant_exporters"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
