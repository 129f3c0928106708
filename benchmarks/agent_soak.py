"""Hours in an agent's life: a steady rate of observations, scrapes every few seconds; nothing may grow or get lost.

    python benchmarks/agent_soak.py [--minutes 60] [--rate 500] [--json OUT]

A real agent process; this one sends prefill and decode passes of requests that begin and end, and restarts as another
probe once a minute. Printed each minute: resident memory, descriptors and threads of the agent, its processor time, and
what was sent, counted and dropped. Exit status 1 when a counter does not add up at the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from locant.observation import ABSENT, Detached, ForwardFacts, ModelAttached, ModelProfile, RowFacts, RowField
from locant.wire.sender import Sender
from locant_slo.catalogue import Metric, metrics

PROFILE = ModelProfile(
    "llama", "rope", "decoder", False, 0, 4096, None, 0, None, 0, None, True, 32, 32, 128, 1024, "abc", 10**9
)
ADDRESS = "127.0.0.1:19466"
TICK_SECONDS = 0.05


@dataclass(frozen=True)
class Minute:
    """One line: the agent after so many minutes."""

    minute: int
    memory_mib: float
    descriptors: int
    threads: int
    cpu_seconds: float
    series: float
    sent: int
    counted: float
    dropped: float


def row(real: int, before: int) -> RowFacts:
    """A healthy row of `real` tokens after `before` others."""
    unseen = [ABSENT] * (len(RowField) - RowField.WINDOW_EXCESS)
    healthy = RowFacts(*[0] * RowField.WINDOW_EXCESS, *unseen)._replace(
        real=real, real_before=before, cache_tokens=before
    )
    last = before + real - 1
    return healthy._replace(first_position=before, last_position=last, min_position=before, max_position=last)


class Traffic:
    """Requests one after another: a prefill of 4 sequences and 30 decode steps, each request in a cache of its own."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.number = self.sent = 0
        self._renew()

    def _renew(self) -> None:
        self.sender = Sender(self._path)
        self._send([ModelAttached(1, time.time(), "chat", "v1", PROFILE)])

    def restart(self) -> None:
        """As a model's process does that ends in order and starts again."""
        self._send([Detached(1, time.time())])
        self.sender.close()
        self._renew()

    def step(self, count: int) -> None:
        """Send that many passes."""
        self._send([self._next() for _ in range(count)])
        self.sender.heartbeat()

    def _send(self, observations: list[ModelAttached | Detached | ForwardFacts]) -> None:
        self.sent += self.sender.send(observations)

    def _next(self) -> ForwardFacts:
        self.number += 1
        request, step = divmod(self.number, 31)
        phase, real, before = ("prefill", 100, 0) if step == 0 else ("decode", 1, 99 + step)
        rows = (row(real, before),) * 4
        return ForwardFacts(1, time.time(), self.number, phase, 0.01, real, rows, cache_id=request + 1)


def scraped() -> dict[str, float]:
    """Sums over the labels of every metric on the page."""
    with urllib.request.urlopen(f"http://{ADDRESS}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    sums: dict[str, float] = {}
    for line in lines:
        if line and line[0] != "#":
            name = line.split("{")[0].split(" ")[0]
            sums[name] = sums.get(name, 0.0) + float(line.rsplit(" ", 1)[1])
    return sums


def look(minute: int, process: subprocess.Popen[bytes], traffic: Traffic) -> Minute:
    """The agent as it stands."""
    found = scraped()

    def of(metric: Metric) -> float:
        return found.get(metric.prometheus_name, 0.0)

    own = Path(f"/proc/{process.pid}")
    return Minute(
        minute,
        of(metrics.AGENT_MEMORY) / 2**20,
        sum(1 for _ in (own / "fd").iterdir()),
        sum(1 for _ in (own / "task").iterdir()),
        of(metrics.AGENT_CPU),
        of(metrics.SERIES),
        traffic.sent,
        of(metrics.OBSERVATIONS),
        of(metrics.OBSERVATIONS_DROPPED),
    )


def soak(minutes: int, rate: int, folder: Path) -> list[Minute]:
    """One line a minute."""
    path = str(folder / "agent.sock")
    command = [sys.executable, "-m", "locant.cli", "agent", f"--web.listen-address={ADDRESS}", f"--socket.path={path}"]
    process = subprocess.Popen([*command, f"--state.path={folder}/state"])
    try:
        while not Path(path).exists():
            time.sleep(0.1)
        traffic, lines = Traffic(path), []
        for minute in range(1, minutes + 1):
            ends, owed = time.monotonic() + 60.0, 0.0
            while time.monotonic() < ends:
                owed += rate * TICK_SECONDS
                traffic.step(int(owed))
                owed -= int(owed)
                time.sleep(TICK_SECONDS)
                if traffic.number % (rate * 5) < rate * TICK_SECONDS:
                    scraped()
            time.sleep(0.5)
            lines.append(look(minute, process, traffic))
            print(*(f"{name}={value}" for name, value in asdict(lines[-1]).items()), flush=True)
            traffic.restart()
        return lines
    finally:
        process.terminate()
        process.wait(20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = soak(chosen.minutes, chosen.rate, Path(folder))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(line) for line in lines], indent=1))
    return int(lines[-1].counted != lines[-1].sent)


if __name__ == "__main__":
    sys.exit(main())
