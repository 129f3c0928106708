"""Child processes that end with us: own process group, output in a file, ready when they say so."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from locant_slo.errors import MachineError

_PAUSE_SECONDS = 0.1
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback only: a proxy of the environment must not see it."""


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, timeout_seconds: float = 5.0) -> bytes:
    """The body at a loopback address. Raises OSError when nobody answers or the status is an error."""
    with _OPENER.open(url, timeout=timeout_seconds) as response:
        return bytes(response.read())


class Child:
    """A running program in its own process group."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  (our own command lines, no shell)
                list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_ready(self, url: str, timeout_seconds: float) -> bool:
        """Wait until `url` answers; False when the program ended first. Raises MachineError when it takes too long."""
        deadline = time.monotonic() + timeout_seconds
        while self.running:
            with suppress(OSError):
                fetch(url)
                return True
            if time.monotonic() >= deadline:
                raise MachineError(f"{self.name} was not ready within {timeout_seconds:.0f} s; its log is {self.log}")
            time.sleep(_PAUSE_SECONDS)
        return False

    def tail(self, characters: int = 300) -> str:
        """The end of its output."""
        return self.log.read_text(errors="replace").strip()[-characters:]

    def close(self, grace_seconds: float = 5.0) -> None:
        """End the whole group: politely, then not."""
        for end in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, end)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_seconds)
                break


def start(name: str, command: Callable[[int], Sequence[str]], log: Path, ready_path: str) -> tuple[Child, str]:
    """Start a server on a free port and wait until it is ready; the child and its URL.

    `command(port)` gives its command line. A port that somebody else takes in between costs another try.
    Raises MachineError with the end of its output when it does not come up.
    """
    for attempt in range(3):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        child = Child(name, command(port), log)
        try:
            if child.wait_ready(url + ready_path, timeout_seconds=30.0):
                return child, url
        except BaseException:
            child.close()
            raise
        if "address already in use" not in child.tail(2000) or attempt == 2:
            break
    raise MachineError(f"{name} does not start: {child.tail()}")
