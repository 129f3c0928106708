"""Kept passes in one SQLite file: an index, and each pass beside it as safetensors bytes. Bounded by size and age."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from locant.sidecar.kept.passes import KeptPass, from_bytes, to_bytes
from locant_slo.errors import MachineError

_SCHEMA = """
PRAGMA auto_vacuum = FULL;
CREATE TABLE IF NOT EXISTS kept (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    finding TEXT NOT NULL, time REAL NOT NULL, model TEXT NOT NULL, model_version TEXT NOT NULL,
    check_name TEXT NOT NULL, severity TEXT NOT NULL, layers INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_finding ON kept (finding, time);
"""
_EACH = 5
"""Passes of one finding that are held at most: a fault that goes on must not push out the others."""
_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the index."""

    number: int
    finding: str
    time: float
    model: str
    model_version: str
    check: str
    severity: str
    layers: int


class KeptStore:
    """One open file. A pass is there whole or not at all, whatever stops the process; one writer, many readers."""

    def __init__(self, connection: sqlite3.Connection, limit_bytes: int, age_seconds: float) -> None:
        self._connection = connection
        self._limit = limit_bytes
        self._age = age_seconds

    def put(self, kept: KeptPass) -> None:
        """Keep a pass, and let go of what is too old or too much. Raises ValueError for one larger than the limit."""
        data, finding, time = to_bytes(kept), kept.finding, kept.facts.time
        if len(data) > self._limit:
            raise ValueError(f"a pass of {len(data)} bytes is larger than the store's {self._limit}")
        entry = (finding.id, time, finding.model, finding.model_version, finding.check, finding.severity.value)
        with self._connection as open_:
            open_.execute(
                "INSERT INTO kept (finding, time, model, model_version, check_name, severity, layers, data)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*entry, len(kept.layers), data),
            )
            open_.execute("DELETE FROM kept WHERE time < ?", (time - self._age,))
            open_.execute(
                "DELETE FROM kept WHERE finding = ?1 AND number NOT IN"
                " (SELECT number FROM kept WHERE finding = ?1 ORDER BY number DESC LIMIT ?2)",
                (finding.id, _EACH),
            )
            open_.execute(
                "DELETE FROM kept WHERE number IN (SELECT number FROM (SELECT number,"
                " sum(length(data)) OVER (ORDER BY number DESC) AS held FROM kept) WHERE held > ?)",
                (self._limit,),
            )

    def entries(self) -> tuple[Entry, ...]:
        """Everything that is held, the newest first."""
        found = self._connection.execute(
            "SELECT number, finding, time, model, model_version, check_name, severity, layers"
            " FROM kept ORDER BY number DESC"
        )
        return tuple(Entry(*row) for row in found)

    def data(self, finding: str) -> bytes | None:
        """The newest pass of a finding as its file's bytes; None when there is none."""
        found = self._connection.execute(
            "SELECT data FROM kept WHERE finding = ? ORDER BY number DESC LIMIT 1", (finding,)
        ).fetchone()
        return bytes(found[0]) if found is not None else None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def open_store(path: Path, limit_bytes: int, age_seconds: float) -> KeptStore:
    """The store at `path` for writing, made for its owner's eyes only (mode 0600) where there is none.

    A file that is no store, or damaged, is moved aside. Raises MachineError when that or opening cannot be done.
    """
    try:
        try:
            return KeptStore(_connect(path), limit_bytes, age_seconds)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            path.replace(path.with_name(f"{path.name}.refused"))
            return KeptStore(_connect(path), limit_bytes, age_seconds)
    except (OSError, sqlite3.Error) as error:
        raise MachineError(
            f"{path}: passes cannot be kept ({error}); name a file in a folder of the agent's"
        ) from error


@contextlib.contextmanager
def read_store(path: Path) -> Iterator[KeptStore]:
    """The store at `path` for reading. Raises MachineError when it cannot be read."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
        with contextlib.closing(connection):
            yield KeptStore(connection, 0, 0.0)
    except sqlite3.Error as error:
        raise MachineError(f"{path}: is no store of kept passes ({error}); name the agent's snapshot_path") from error


def open_pass(store: KeptStore, finding: str) -> KeptPass | None:
    """The newest pass of a finding; None when there is none. Raises MachineError when it is damaged."""
    data = store.data(finding)
    try:
        return from_bytes(data) if data is not None else None
    except ValueError as error:
        raise MachineError(f"finding {finding}: its pass {error}; it was kept by another release") from error


def _connect(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, check_same_thread=False)
    try:
        connection.executescript(_SCHEMA)
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("is damaged")
    except BaseException:
        connection.close()
        raise
    return connection
