"""What the agent can take and what a scrape costs, in one run.

    python benchmarks/agent_throughput.py [--rounds 5] [--seconds 2] [--json OUT]

Part one: a sender in this process fills a real socket; the agent in another one receives, decodes, judges and counts.
Rates are per second of wall time, costs are processor time of the agent's process per observation; small ones are one
decode step of one sequence, 16 kB ones a pass over 150 sequences. The sender offers more than the agent takes, so a
share is dropped and counted. Also the same work paced at 1,000 observations a second, which is what a server sends.

Part two: one scrape (snapshot and text) of the agent's store beside prometheus-client's own classes with the same
series and values, in pairs. The ratio is the median over pairs, with the extremes; both texts are compared first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import prometheus_client as pc

from locant.observation import ABSENT, ForwardFacts, ModelAttached, ModelProfile, RowFacts, RowField
from locant.sidecar.config import AgentConfig
from locant.sidecar.judge import Judge
from locant.sidecar.service import Agent
from locant.sidecar.store import Store
from locant.wire.codec import encode
from locant.wire.receiver import Receiver
from locant.wire.sender import Sender
from locant_exporters.exposition import expose
from locant_exporters.prometheus import SnapshotCollector
from locant_slo.catalogue import metrics

PROFILE = ModelProfile(
    "llama", "rope", "decoder", False, 0, 4096, None, 0, None, 0, None, True, 32, 32, 128, 1024, "abc", 10**9
)
ATTACHED = ModelAttached(1, 0.0, "chat", "v1", PROFILE)
TICK_SECONDS = 0.05


@dataclass(frozen=True)
class Load:
    """One line of part one."""

    frames: str
    paced_per_second: int | None
    payload_bytes: int
    taken_per_second: float
    taken_per_second_low: float
    taken_per_second_high: float
    cpu_us_per_observation: float
    cpu_us_low: float
    cpu_us_high: float
    dropped_share: float


@dataclass(frozen=True)
class Scrape:
    """One line of part two; times in milliseconds."""

    samples: int
    locant_ms: float
    prometheus_client_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float


def passes(rows: int, count: int) -> list[ForwardFacts]:
    """Healthy decode steps over `rows` sequences, one after another, that have gone on for a while."""
    return [
        ForwardFacts(1, 0.0, n, "decode", 0.01, 1, tuple(_row(n) for _ in range(rows)), cache_id=1)
        for n in range(count)
    ]


def _row(step: int) -> RowFacts:
    at = 100 + step
    unseen = [ABSENT] * (len(RowField) - RowField.WINDOW_EXCESS)
    healthy = RowFacts(*[0] * RowField.WINDOW_EXCESS, *unseen)._replace(
        real=1, real_before=at, cache_tokens=at, first_position=at
    )
    return healthy._replace(last_position=at, min_position=at, max_position=at, first_token_hash=7)


def serve(path: str, pipe: Connection, judged: bool) -> None:
    """The agent's process: receives until told to stop; answers with its processor seconds and what it took.

    Without `judged` the observations end behind the decoder: the wire alone.
    """
    agent = Agent(AgentConfig(), Judge())
    receiver = Receiver(path, clock=time.monotonic)
    receiver.open()
    taken = 0

    def deliver(observations: list[object]) -> None:
        nonlocal taken
        taken += len(observations)
        if judged:
            agent.ingest(observations)  # type: ignore[arg-type]

    stop = threading.Event()
    threading.Thread(target=lambda: (pipe.recv(), stop.set()), daemon=True).start()
    pipe.send("ready")
    before = _cpu()
    while not stop.is_set():
        began = time.monotonic()
        receiver.poll(TICK_SECONDS, deliver)
        stop.wait(max(0.0, TICK_SECONDS - (time.monotonic() - began)))
    pipe.send((_cpu() - before, taken))
    receiver.close()


def _cpu() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def load(rows: int, seconds: float, paced: int | None, judged: bool) -> tuple[float, float, float]:
    """Observations taken per second, agent's processor seconds per observation, and the share that was dropped."""
    steps = passes(rows, 2048 if rows == 1 else 256)
    chunk = 64 if rows == 1 else 4
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/agent.sock"
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=serve, args=(path, theirs, judged))
        process.start()
        ours.recv()
        sender, offered = Sender(path), 0
        sender.send([ATTACHED])
        began = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            if paced is not None and offered >= paced * (now - began):
                time.sleep(TICK_SECONDS)
                continue
            at = offered % len(steps)
            sender.send(steps[at : at + chunk])
            offered += chunk
            if paced is None:
                time.sleep(0.0005)  # leaves the agent its core on a machine of two
        lasted = time.monotonic() - began
        time.sleep(3 * TICK_SECONDS)
        ours.send("stop")
        cpu, taken = ours.recv()
        process.join()
        sender.close()
    return taken / lasted, cpu / max(taken, 1), sum(sender.dropped.values()) / max(offered, 1)


def measure_load(
    name: str, rows: int, rounds: int, seconds: float, *, paced: int | None = None, judged: bool = True
) -> Load:
    """Several rounds of one kind of frame."""
    rates, costs, drops = zip(*(load(rows, seconds, paced, judged) for _ in range(rounds)), strict=True)
    return Load(
        frames=name,
        paced_per_second=paced,
        payload_bytes=len(encode(passes(rows, 1))),
        taken_per_second=statistics.median(rates),
        taken_per_second_low=min(rates),
        taken_per_second_high=max(rates),
        cpu_us_per_observation=statistics.median(costs) * 1e6,
        cpu_us_low=min(costs) * 1e6,
        cpu_us_high=max(costs) * 1e6,
        dropped_share=statistics.median(drops),
    )


def stores(samples: int) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    """Two ways to the same text: the agent's store, and prometheus-client's Counter and Histogram.

    Half of the samples are histograms' (31 each), half are counters'.
    """
    counters, histograms = samples // 2, samples // 2 // 31
    store = Store(started_at=0.0, series_limit=10 * samples)
    registry = pc.CollectorRegistry()
    count = pc.Counter(
        _bare(metrics.SLI_EVENTS.prometheus_name),
        metrics.SLI_EVENTS.help,
        metrics.SLI_EVENTS.label_names,
        registry=registry,
    )
    length = metrics.SEQUENCE_LENGTH
    spread = pc.Histogram(
        length.prometheus_name, length.help, length.label_names, registry=registry, buckets=length.buckets
    )
    for n in range(counters):
        labels = ("position_integrity", f"model-{n % 50}", f"v{n // 50}")
        store.add(metrics.SLI_EVENTS, labels, n)
        count.labels(*labels).inc(n)
    for n in range(histograms):
        labels2 = (f"model-{n % 50}", f"v{n // 50}")
        for value in (20, 500, 9000):
            store.observe(length, labels2, value)
            spread.labels(*labels2).observe(value)

    def ours() -> bytes:
        return expose(SnapshotCollector(lambda: store.snapshot(0.0), names=frozenset())).body

    return ours, lambda: pc.generate_latest(registry)


def _bare(name: str) -> str:
    return name.removesuffix("_total")


def lines(text: bytes) -> set[str]:
    """The samples of the two metrics that both sides hold."""
    own = (metrics.SLI_EVENTS.prometheus_name, metrics.SEQUENCE_LENGTH.prometheus_name)
    return {line for line in text.decode().splitlines() if line.startswith(own)}


def timed(work: Callable[[], bytes]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure_scrape(samples: int, pairs: int) -> Scrape:
    """Pairs of scrapes, alternating."""
    ours, theirs = stores(samples)
    assert lines(ours()) == lines(theirs()), "the two texts differ"
    times = [(timed(ours), timed(theirs)) for _ in range(pairs)]
    ratios = [a / b for a, b in times]
    return Scrape(
        samples=len(lines(ours())),
        locant_ms=statistics.median(a for a, _ in times) * 1e3,
        prometheus_client_ms=statistics.median(b for _, b in times) * 1e3,
        ratio=statistics.median(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    pc.disable_created_metrics()
    kinds = (("small", 1, 1000), ("16 kB", 150, 100))
    times = (chosen.rounds, chosen.seconds)
    loads = [measure_load(f"{name}, wire alone", rows, *times, judged=False) for name, rows, _ in kinds]
    loads += [measure_load(name, rows, *times) for name, rows, _ in kinds]
    loads += [measure_load(name, rows, *times, paced=paced) for name, rows, paced in kinds]
    print("frames               offered/s    bytes   taken/s (low-high)           CPU us each (low-high)   dropped")
    for one in loads:
        rate = f"{one.taken_per_second:.0f} ({one.taken_per_second_low:.0f}-{one.taken_per_second_high:.0f})"
        cost = f"{one.cpu_us_per_observation:.1f} ({one.cpu_us_low:.1f}-{one.cpu_us_high:.1f})"
        offered = one.paced_per_second or "flood"
        print(f"{one.frames:19}  {offered:>9}  {one.payload_bytes:7}   {rate:26}  {cost:24}  {one.dropped_share:6.1%}")
    scrapes = [measure_scrape(samples, max(10, 40_000 // samples)) for samples in (200, 2_000, 20_000)]
    print("\nsamples    Locant ms    prometheus-client ms    ratio (low-high)")
    for scrape in scrapes:
        print(
            f"{scrape.samples:7}  {scrape.locant_ms:11.2f}  {scrape.prometheus_client_ms:22.2f}"
            f"    {scrape.ratio:.2f} ({scrape.ratio_low:.2f}-{scrape.ratio_high:.2f})"
        )
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"load": [asdict(one) for one in loads], "scrape": [asdict(one) for one in scrapes]}, indent=1)
        )


if __name__ == "__main__":
    main()
