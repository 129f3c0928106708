"""The agent's log: one line an event, in two forms, and bounded."""

from __future__ import annotations

import io
import json
import logging

import pytest

from locant import logs
from locant.logs import RateLimit, configure_logging


@pytest.fixture
def written(monkeypatch):
    """What the agent's logger writes in a style."""
    loggers = [logging.getLogger(name) for name in ("locant", "locant_exporters")]
    before = [(one, one.handlers, one.level, one.propagate) for one in loggers]
    output = io.StringIO()

    def start(style):
        configure_logging(style)
        loggers[0].handlers[0].setStream(output)
        return loggers[0], output

    yield start
    for one, handlers, level, propagate in before:
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


def fail():
    raise ValueError("deep down")


def test_a_line_of_json_has_what_a_log_store_needs(written):
    log, output = written("json")
    try:
        fail()
    except ValueError:
        log.exception("an event in %s", "the agent")
    entry = json.loads(output.getvalue())
    assert {"level": "error", "logger": "locant", "message": "an event in the agent"}.items() <= entry.items()
    assert "deep down" in entry["traceback"]
    assert entry["time"][4] == "-"


def test_a_line_of_text_is_one_line(written):
    log, output = written("text")
    log.warning("an event")
    assert output.getvalue().count("\n") == 1
    assert "WARNING locant: an event" in output.getvalue()


def test_a_flood_of_one_event_is_ten_lines_a_minute_and_other_events_are_not_held_back(written, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(logs, "RateLimit", lambda: RateLimit(lambda: now[0]))
    log, output = written("text")
    for minute in range(3):
        now[0] = 61.0 * minute
        for number in range(1000):
            log.warning("a client did it again: %d", number)
        log.warning("something else")
    lines = output.getvalue().splitlines()
    assert len(lines) == 3 * 11
    assert sum("something else" in line for line in lines) == 3
    assert "again: 0 (and 990 more like it, not written)" in lines[11]
