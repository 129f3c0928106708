"""Recorded traffic and known incidents from CSV files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from locant_alerts.history.stretch import History, Incident, runs
from locant_alerts.replay import Traffic
from locant_slo.errors import ConfigError, MachineError
from locant_slo.moments import parse_moment

_TRAFFIC = "time,events,bad[,incident]"
_INCIDENTS = "start,end"


def read_csv(path: Path) -> History:
    """The traffic of a CSV file with the columns `time` (Unix seconds, evenly spaced), `events`, `bad` and, if known,
    `incident` (1 while it lasts). Raises MachineError or ConfigError with the line.
    """
    rows = _rows(path, _TRAFFIC, {"time", "events", "bad"})
    columns = {
        name: [_number(path, line, row, name) for line, row in enumerate(rows, 2)] for name in ("time", "events", "bad")
    }
    times = columns["time"]
    step = times[1] - times[0] if len(times) > 1 else 60
    for line, (before, after) in enumerate(pairwise(times), 3):
        if step <= 0 or after - before != step:
            raise ConfigError(
                f"{path}: line {line}: time goes on by {after - before} and not by {step}; space it evenly"
            )
    for line, (bad, events) in enumerate(zip(columns["bad"], columns["events"], strict=True), 2):
        if bad > events:
            raise ConfigError(f"{path}: line {line}: {bad} of {events} events are bad; count each event once")
    known = "incident" in rows[0]
    return History(
        Traffic(step, tuple(columns["events"]), tuple(columns["bad"])),
        start_seconds=times[0],
        incidents=runs([row["incident"] in {"1", "true"} for row in rows]) if known else None,
    )


def read_incidents(path: Path, start_seconds: float, step_seconds: int, steps: int) -> tuple[Incident, ...]:
    """The incidents of a CSV file with the columns `start` and `end`, as ranges of the steps of a stretch.

    Those outside the stretch are left out. Raises MachineError or ConfigError with the line.
    """
    found = []
    for line, row in enumerate(_rows(path, _INCIDENTS, {"start", "end"}), 2):
        start, end = (_moment(path, line, row, column) for column in ("start", "end"))
        if end <= start:
            raise ConfigError(f"{path}: line {line}: the incident ends before it starts; swap start and end")
        first = max(0, int((start - start_seconds) // step_seconds))
        last = min(steps, -int((start_seconds - end) // step_seconds))
        if first < last:
            found.append((first, last))
    return tuple(sorted(found))


def _rows(path: Path, columns: str, needed: set[str]) -> Sequence[Mapping[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows, head = list(reader), reader.fieldnames or ()
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: this is no CSV of UTF-8 text ({error}); write {columns}") from error
    missing = needed - set(head)
    if missing:
        raise ConfigError(f"{path}: column {sorted(missing)[0]} is missing; write {columns}")
    if not rows:
        raise ConfigError(f"{path}: has no line below its head; write one for each step, or leave the file out")
    return rows


def _number(path: Path, line: int, row: Mapping[str, str], column: str) -> int:
    text = row[column] or ""
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise ConfigError(f"{path}: line {line}: {column} is {text!r}; write a whole number, 0 or more")
    return int(text)


def _moment(path: Path, line: int, row: Mapping[str, str], column: str) -> float:
    try:
        return parse_moment(row[column] or "")
    except ValueError as error:
        raise ConfigError(f"{path}: line {line}: {column}: {error}") from error
