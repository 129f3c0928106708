"""Generation under Locant's default settings beside bare generation, and beside what else shows attention.

    python benchmarks/attention_end_to_end.py [--rounds 9] [--sizes small,125M] [--memory] [--quick] [--json OUT]

Every round generates from the same prompts once in every way, over the same weights, in an order that turns; ratios are
those to the bare run of the round, medians with quartiles. "process": processor time of the process, which busy
neighbours disturb least; "thread": of the thread that runs the model; "clock": what one waits. "memory", if asked for:
how far the resident memory of a fresh process rises above what it held before a generation (Linux).

"sidecar" is the case of production: the probe in this process, the agent in one of its own, whose time stands below.
"embedded" has both in this process. The watches stay on for all rounds, as they would in service; the first round, in
which a probe looks more often than later, is a warm-up.

The peers are optional, and one that is missing or generates other tokens is a line that says so. TransformerLens 4.3
loses the cache under transformers 5.24, so all lines are best taken in an environment of their own:

    pip install torch==2.13.0 'transformers==5.20.*' transformer_lens==4.3.0 nnsight==0.8.1 && pip install -e .
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from watched import quartiles, random_model
from ways_to_see import WAYS, Generate, Load

Spread = tuple[float, float, float]
"""Lower quartile, median, upper quartile."""
LOADS = {"small": Load("small", 2, 256, 64), "125M": Load("125M", 1, 256, 24)}
MODULES = {"TransformerLens": "transformer_lens", "nnsight": "nnsight"}
CLOCKS = {"process": time.process_time, "thread": time.thread_time, "clock": time.perf_counter}


@dataclass(frozen=True)
class Line:
    """One way: ratios to the bare runs, and the memory it takes. `note`: why there is nothing."""

    size: str
    way: str
    note: str = ""
    process: Spread | None = None
    thread: Spread | None = None
    clock: Spread | None = None
    memory_mib: float | None = None


def missing(way: str) -> str:
    """Why a way cannot be tried here, or nothing."""
    module = MODULES.get(way)
    absent = module is not None and importlib.util.find_spec(module) is None
    return f"NOT MEASURED: {module} is not installed" if absent else ""


def measure(load: Load, ways: Sequence[str], rounds: int, *, memory: bool) -> Iterator[Line]:
    """The chosen ways, beside the bare one."""
    model = random_model(load.size)
    notes = {way: missing(way) for way in ways}
    with ExitStack() as stack:
        running = {way: stack.enter_context(make(model, load)) for way, make in WAYS.items() if notes.get(way) == ""}
        tokens = {way: run() for way, run in running.items()}
        for way in [way for way, found in tokens.items() if not torch.equal(found, tokens["bare"])]:
            notes[way] = "NOT MEASURED: its tokens are not those of the bare run"
            del running[way]
        times = list(_rounds(running, rounds))
    for way in ways:
        if notes[way]:
            yield Line(load.size, way, notes[way])
            continue
        ratios = {clock: quartiles([one[way][clock] / one["bare"][clock] for one in times]) for clock in CLOCKS}
        yield Line(load.size, way, **ratios, memory_mib=_memory_of(way, load) if memory else None)


def _rounds(running: dict[str, Generate], rounds: int) -> Iterator[dict[str, dict[str, float]]]:
    """Seconds by way and clock, a round at a time."""
    order = list(running)
    for turn in range(rounds):
        found = {}
        for way in order[turn % len(order) :] + order[: turn % len(order)]:
            started = {name: clock() for name, clock in CLOCKS.items()}
            running[way]()
            found[way] = {name: clock() - started[name] for name, clock in CLOCKS.items()}
        yield found


def _memory_of(way: str, load: Load) -> float:
    """MiB that a generation takes at most, in a process of its own."""
    command = [sys.executable, __file__, f"--memory-of={way}", f"--sizes={load.size}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def peak_mib(way: str, load: Load) -> float:
    """How far this process's memory rises in one generation, after a short one."""
    status = Path("/proc/self/status")

    def field(name: str) -> float:
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith(name))

    model = random_model(load.size)
    with WAYS[way](model, Load(load.size, 1, 8, 2)) as run:
        run()
    with WAYS[way](model, load) as run:
        Path("/proc/self/clear_refs").write_text("5")  # the highest mark begins anew
        before = field("VmRSS")
        run()
        return field("VmHWM") - before


def text(line: Line) -> str:
    """One row of the table."""
    if line.note:
        return f"| {line.size} | {line.way} | {line.note} | | | |"
    spreads = [f"{middle:.3f} ({low:.3f} to {high:.3f})" for low, middle, high in map(_known, _spreads(line))]
    memory = "" if line.memory_mib is None else f"{line.memory_mib:.0f} MiB"
    return f"| {line.size} | {line.way} | {' | '.join(spreads)} | {memory} |"


def _spreads(line: Line) -> tuple[Spread | None, ...]:
    return line.process, line.thread, line.clock


def _known(spread: Spread | None) -> Spread:
    assert spread is not None
    return spread


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", default=",".join(LOADS))
    parser.add_argument("--ways", default=",".join(WAYS), help="some of them; bare is always one")
    parser.add_argument("--memory", action="store_true", help="also memory: a fresh process for each way")
    parser.add_argument("--quick", action="store_true", help="the small model, few tokens, three rounds")
    parser.add_argument("--json", help="write the lines to this file too")
    parser.add_argument("--memory-of", choices=WAYS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    warnings.simplefilter("ignore")
    if chosen.memory_of:
        print(peak_mib(chosen.memory_of, LOADS[chosen.sizes]))
        return
    loads = [Load("small", 1, 16, 8)] if chosen.quick else [LOADS[size] for size in chosen.sizes.split(",")]
    lines = []
    print("| model | way | process | thread | clock | memory |\n|---|---|---|---|---|---|", flush=True)
    ways = [way for way in WAYS if way == "bare" or way in chosen.ways.split(",")]
    for load in loads:
        for line in measure(load, ways, 3 if chosen.quick else chosen.rounds, memory=chosen.memory):
            lines.append(line)
            print(text(line), flush=True)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps([asdict(line) for line in lines], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
