"""Recorded traffic from a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from locant_alerts.replay import Traffic
from locant_slo.errors import ConfigError, MachineError

Incident = tuple[int, int]
"""Half-open range of steps."""


def read_csv(path: Path) -> tuple[Traffic, tuple[Incident, ...]]:
    """Traffic and incidents of a CSV file with the columns `time` (Unix seconds, evenly spaced), `events`, `bad` and,
    if known, `incident` (1 while it lasts). Raises MachineError or ConfigError with the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"{path}: this is no CSV of UTF-8 text ({error}); write time,events,bad[,incident]"
        ) from error
    missing = {"time", "events", "bad"} - set(rows[0] if rows else ())
    if missing:
        raise ConfigError(f"{path}: column {sorted(missing)[0]} is missing; write time,events,bad[,incident]")
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
    traffic = Traffic(step, tuple(columns["events"]), tuple(columns["bad"]))
    return traffic, _incidents([row.get("incident") in {"1", "true"} for row in rows])


def _number(path: Path, line: int, row: dict[str, str], column: str) -> int:
    text = row[column] or ""
    if not text.isdecimal():
        raise ConfigError(f"{path}: line {line}: {column} is {text!r}; write a whole number, 0 or more")
    return int(text)


def _incidents(marks: Sequence[bool]) -> tuple[Incident, ...]:
    edges = [index for index, (a, b) in enumerate(zip([False, *marks], [*marks, False], strict=True)) if a != b]
    return tuple(zip(edges[::2], edges[1::2], strict=True))
