"""The month's error ratio by our rules and by the published formulas of others, against exact counting.

Runs a real Prometheus on loopback over simulated counters, three days at one scrape a minute; the SLO window is those
three days. Recorded series are written as subqueries at their recording interval. Needs prometheus and promtool.

    python benchmarks/slo_formulas.py
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MINUTES = 3 * 1_440
START = 1_700_000_000 // 3_600 * 3_600
BUDGET = 0.001
BAD, ALL = "bad_total{{stream='{0}'}}", "events_total{{stream='{0}'}}"
BAD_5M, ALL_5M = f"sum(increase({BAD}[5m]))", f"sum(increase({ALL}[5m]))"
FORMULAS = {
    "Locant: sums of recorded counts": (
        f"sum_over_time(({BAD_5M} or 0 * {ALL_5M})[3d:1m]) / (sum_over_time({ALL_5M}[3d:1m]) > 0)"
    ),
    "Sloth 0.16: mean of recorded ratios": f"sum_over_time(({BAD_5M} / {ALL_5M})[3d:1m])"
    f" / count_over_time(({BAD_5M} / {ALL_5M})[3d:1m])",
    "Pyrra 1ba95af: increase over the window": (
        f"sum(sum(increase({BAD}[3d])) or vector(0)) / sum(sum(increase({ALL}[3d])))"
    ),
    "Pyrra 1ba95af, performance over accuracy": (
        f"sum(sum_over_time({BAD_5M}[3d:5m]) or vector(0)) / sum(sum_over_time({ALL_5M}[3d:5m]))"
    ),
}


@dataclass(frozen=True)
class Stream:
    """Events and bad events a minute; `born` is the minute in which the series of bad events first appears."""

    name: str
    events: list[int]
    bad: list[int]
    pods: int = 1
    restarts: int = 0
    bad_is_known: bool = True


def streams() -> list[Stream]:
    """Traffic as it is: even, uneven, idle, with rare errors, with many pods that restart, without any error."""
    dice = random.Random(3)
    even = [100] * MINUTES
    tenth = [1 if dice.random() < 0.1 else 0 for _ in range(MINUTES)]
    day = [1 if minute % 1_440 < 1_200 else 1_000 for minute in range(MINUTES)]
    idle = [60 if minute % 1_440 < 700 else 0 for minute in range(MINUTES)]
    rare = set(dice.sample(range(MINUTES), 30))
    busy = [dice.randint(100, 900) for _ in range(MINUTES)]
    return [
        Stream("even", even, tenth),
        Stream("uneven", day, tenth),
        Stream("idle half the day", idle, [bad if count else 0 for bad, count in zip(tenth, idle, strict=True)]),
        Stream("thirty errors in all", even, [1 if minute in rare else 0 for minute in range(MINUTES)]),
        Stream("50 pods, 100 restarts", busy, [dice.randint(0, 1) for _ in busy], pods=50, restarts=100),
        Stream("no error, no series of them", even, [0] * MINUTES, bad_is_known=False),
    ]


def samples(stream: Stream, metric: str, dice: random.Random) -> Iterator[str]:
    """OpenMetrics lines of one counter. Each pod is scraped at its own second, half a second early or late."""
    counts = stream.events if metric == "events" else stream.bad
    values = [0] * stream.pods
    anew = {dice.randrange(1, MINUTES): restart % stream.pods for restart in range(stream.restarts)}
    offsets = [dice.uniform(1, 59) for _ in range(stream.pods)]
    for minute, count in enumerate([*counts, 0]):
        if minute in anew:
            values[anew[minute]] = 0
        for pod, value in enumerate(values):
            when = START + 60 * minute + offsets[pod] + dice.uniform(-0.5, 0.5)
            yield f'{metric}_total{{stream="{stream.name}",pod="{pod}"}} {value} {when:.3f}'
        for _ in range(count):
            values[dice.randrange(stream.pods)] += 1


def write_openmetrics(path: Path) -> None:
    """All streams as one file for `promtool tsdb create-blocks-from openmetrics`."""
    dice = random.Random(5)
    with path.open("w") as file:
        for metric in ("events", "bad"):
            print(f"# TYPE {metric} counter", file=file)
            for stream in streams():
                if metric == "events" or stream.bad_is_known:
                    file.writelines(f"{line}\n" for line in samples(stream, metric, dice))
        print("# EOF", file=file)


@contextlib.contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """A Prometheus over the imported blocks; gives its address."""
    write_openmetrics(folder / "streams.txt")
    source, target = str(folder / "streams.txt"), str(folder / "data")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", source, target]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (folder / "prometheus.yml").write_text("{}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    keep = ["--storage.tsdb.retention.time=100y", f"--web.listen-address={address}", "--log.level=error"]
    server = subprocess.Popen(["prometheus", *flags, *keep])
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/-/ready", timeout=2):
                break
            time.sleep(0.1)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(20)


def ask(address: str, query: str) -> float | None:
    """The value of an instant query at the end of the streams; None when it gives nothing."""
    parameters = urllib.parse.urlencode({"query": query, "time": START + 60 * (MINUTES + 1)})
    with urllib.request.urlopen(f"{address}/api/v1/query?{parameters}", timeout=120) as response:
        result = json.load(response)["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def verdict(found: float | None, truth: float) -> str:
    """The relative error of the ratio, and the share of the budget that it would show as left."""
    if found is None:
        return "no value"
    if found != found:
        return "NaN"
    error = "exact" if found == truth else f"{found / truth - 1:+.2%}" if truth else "wrong"
    return f"{error} (left {1 - found / BUDGET:.1%})"


def main() -> None:
    """Print the table."""
    print(f"Prometheus {subprocess.run(['prometheus', '--version'], capture_output=True, text=True).stdout.split()[2]}")
    print("\n| traffic | truth | " + " | ".join(FORMULAS) + " |")
    print("|---" * (len(FORMULAS) + 2) + "|")
    with tempfile.TemporaryDirectory() as folder, prometheus(Path(folder)) as address:
        for stream in streams():
            truth = sum(stream.bad) / sum(stream.events)
            cells = [verdict(ask(address, formula.format(stream.name)), truth) for formula in FORMULAS.values()]
            print(f"| {stream.name} | {truth:.4%} (left {1 - truth / BUDGET:.1%}) | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
