"""The state file: one line that says what it is and its checksum, then JSON; replaced whole, or not at all."""

from __future__ import annotations

import logging
import os
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path

import msgspec

from locant.sidecar.saved import SavedState
from locant_slo.errors import ConfigError, MachineError

_LOG = logging.getLogger("locant.agent")
_HEADER = b"locant-state/v1 "
_LONGEST_FILE_BYTES = 64 * 2**20
_decoder = msgspec.json.Decoder(SavedState)


def load_state(path: Path) -> SavedState:
    """The state in a file; empty where there is none yet.

    A file that is broken or not ours is moved aside, and one sentence in the log says so: an agent must start.
    Raises MachineError when the file is there and cannot be read or moved.
    """
    try:
        content = _content(path)
    except FileNotFoundError:
        return SavedState()
    except OSError as error:
        raise MachineError(
            f"{path}: cannot be read ({error.strerror}); name a file in a folder of the agent's"
        ) from error
    try:
        return _parse(content)
    except ValueError as error:
        _move_aside(path, str(error))
        return SavedState()


def read_state(path: Path) -> SavedState:
    """The state in a file, for whoever only looks: nothing is moved. Raises MachineError, ConfigError for no state."""
    try:
        return _parse(_content(path))
    except FileNotFoundError:
        raise MachineError(
            f"{path}: there is no state; run the agent with --state.path, or name the file that it has there"
        ) from None
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}); ask as the agent's user does") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}; name the file that a running agent has as --state.path") from None


def save_state(path: Path, state: SavedState) -> None:
    """Write the file so that a reader, or the next start after a crash, sees the old or the new one whole.

    Raises MachineError; the old file is then as it was.
    """
    body = msgspec.json.encode(state, enc_hook=str)
    temporary = path.with_name(f".{path.name}.new")  # always the same name: crashes leave one behind, not a thousand
    try:
        _write(temporary, _HEADER + b"%08x\n" % zlib.crc32(body) + body)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise MachineError(f"{path}: the state cannot be written ({error.strerror}); free or name a folder") from error


class StateWriter:
    """Saves on a thread of its own, so that a disk that hangs never keeps the agent from its probes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: threading.Thread | None = None
        self._complained = False
        self.ok = 0
        self.errors = 0
        self.seconds = 0.0

    def save(self, state: SavedState) -> bool:
        """Begin to save; False, and counted as an error, while the last one has not ended."""
        if self._thread is not None and self._thread.is_alive():
            self.errors += 1
            return False
        self._thread = threading.Thread(target=self._save, args=(state,), name="locant-state", daemon=True)
        self._thread.start()
        return True

    def finish(self, state: SavedState, deadline_seconds: float) -> None:
        """Save a last time and wait for it."""
        if self._thread is not None:
            self._thread.join(deadline_seconds)
        if self.save(state) and self._thread is not None:
            self._thread.join(deadline_seconds)

    def _save(self, state: SavedState) -> None:
        began = time.monotonic()
        try:
            save_state(self._path, state)
        except (MachineError, ValueError, OverflowError) as error:
            self.errors += 1
            if not self._complained:
                _LOG.error("%s; trying on every interval", error)
            self._complained = True
            return
        finally:
            self.seconds += time.monotonic() - began
        self.ok += 1
        self._complained = False


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST_FILE_BYTES + 1)


def _parse(content: bytes) -> SavedState:
    header, _, body = content.partition(b"\n")
    if len(content) > _LONGEST_FILE_BYTES or not header.startswith(_HEADER):
        raise ValueError("is no state of this release of Locant")
    if header[len(_HEADER) :] != b"%08x" % zlib.crc32(body):
        raise ValueError("is damaged: its checksum does not fit")
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"is no state of this release of Locant ({error})") from error


def _move_aside(path: Path, reason: str) -> None:
    aside = path.with_name(f"{path.name}.refused")
    try:
        path.replace(aside)
    except OSError as error:
        raise MachineError(f"{path}: {reason}, and cannot be moved aside ({error.strerror}); move it away") from error
    _LOG.error("%s: %s; it is now %s, and the statistics begin anew", path, reason, aside.name)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
