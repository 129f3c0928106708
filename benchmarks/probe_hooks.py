"""What a pass that is not looked at costs: models whose forward is almost free, bare and watched, in one process.

    python benchmarks/probe_hooks.py [--repeats 3000] [--json OUT]

"added": the least watched less the least bare pass of many. "attention": what of it is gone with `attention_rate` 0.
Below, the time inside the hooks by what it is spent on (a stage's own, without the stages inside it; least of all
passes, so that they add up to less than "added", which has torch's own dispatch to the hooks too), and what can be
counted whatever the machine: operations of torch, calls of Python and of C functions.

In a real step nothing of the probe is in the processor's caches, and the same work takes about twice as long:
`probe_overhead.py` shows that.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from locant.probe import caches, capture, finished, parts
from locant.probe.governor import Governor
from locant.probe.growth import GrowthWatch
from locant.probe.keys.reader import KeyReader
from locant.probe.looks import Looks
from locant.probe.probe import Probe, ProbeOptions
from locant.wire.channel import Channel
from support.free_models import Case, free_model, pass_of
from support.pass_counts import counts_of

CASES = [Case(family, batch, masked) for family in ("gpt2", "llama") for batch in (1, 8) for masked in (False, True)]
CASES += [Case("gpt2", 8, True, prompt=True), Case("llama", 8, True, prompt=True)]
STAGES: dict[str, tuple[tuple[Any, str], ...]] = {
    "arguments": ((capture, "bind"),),
    "cache: number, length, bytes": (
        (capture, "cache_length"), (caches.CacheBook, "identify"),
        (finished, "cache_bytes"), (finished, "returned_cache"),
    ),
    "samplers and governor": ((Looks, "at_rotary"), (Looks, "at_attention"), (Looks, "covers")),
    "account": ((Looks, "account"), (Governor, "passed")),
    "positions at table and rotary": ((parts.PartHooks, "table_indices"), (parts.PartHooks, "rotary")),
    "copies of ids, mask, positions": ((finished, "gather"),),
    "key read": ((KeyReader, "read"),),
    "growth of tables": ((GrowthWatch, "look"),),
    "what travels": ((finished, "travels_raw"), (finished, "_ship")),
    "the pass itself": ((capture.UnitCapture, "before"), (capture.UnitCapture, "after")),
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """One kind of pass; times in microseconds."""

    case: str
    bare_us: float
    added_us: float
    attention_us: float
    stages_us: dict[str, float]
    operations: dict[str, int]
    python_calls: int
    c_calls: int


class Stages:
    """Own time of each stage, by functions that are replaced while it lasts."""

    def __init__(self) -> None:
        self.least: dict[str, float] = {}
        self._spent: dict[str, float] = {}
        self._inside = [0.0]

    @contextmanager
    def running(self) -> Iterator[None]:
        """With every function of `STAGES` under the clock."""
        kept = [(owner, name, getattr(owner, name)) for places in STAGES.values() for owner, name in places]
        for stage, places in STAGES.items():
            for owner, name in places:
                setattr(owner, name, self._timed(stage, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, original in kept:
                setattr(owner, name, original)

    def end_pass(self) -> None:
        """The next pass begins."""
        for stage, seconds in self._spent.items():
            self.least[stage] = min(self.least.get(stage, seconds), seconds)
        self._spent.clear()

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inside.append(0.0)
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.perf_counter() - started
                self._spent[stage] = self._spent.get(stage, 0.0) + took - self._inside.pop()
                self._inside[-1] += took

        return timed


def least(step: Callable[[], object], back: Callable[[], object], repeats: int, between: Callable[[], object]) -> float:
    """Microseconds of the fastest call. `between` empties what waits, outside the clock."""
    found = float("inf")
    for number in range(repeats):
        started = time.perf_counter()
        step()
        found = min(found, time.perf_counter() - started)
        back()
        if number % 50 == 0:
            between()
    return found * 1e6


def measure(case: Case, repeats: int) -> Cost:
    """Bare, watched, watched without attention, and once more in parts."""
    model, stages = free_model(case.family), Stages()
    step, back = pass_of(model, case)

    def both() -> None:
        step()
        back()

    bare, plain = least(step, back, repeats, lambda: None), counts_of(both)
    added, counted = [], plain
    for rate in (0.05, 0.0):
        with watched(model, rate) as empty:
            least(step, back, 100, empty)
            counted = counts_of(both) if rate else counted
            added.append(least(step, back, repeats, empty) - bare)
    with stages.running(), watched(model, 0.05) as empty:
        for number in range(repeats):
            both()
            stages.end_pass()
            if number % 50 == 0:
                empty()
    found = counted.beyond(plain)
    return Cost(
        case.name, bare, added[0], added[0] - added[1], {name: s * 1e6 for name, s in stages.least.items()},
        dict(found.operations), found.python_calls, found.c_calls,
    )  # fmt: skip


@contextmanager
def watched(model: torch.nn.Module, attention_rate: float) -> Iterator[Callable[[], None]]:
    """A probe that may take no look; gives what hands its passes on."""
    channel = Channel(100_000)
    options = ProbeOptions(attention_rate=attention_rate, overhead_budget=0.0, strict=True)
    probe = Probe(model, model_id=1, channel=channel, options=options)
    probe.attach()

    def empty() -> None:
        probe.poll()
        channel.drain(100_000)

    yield empty
    probe.close()


def main() -> None:
    """Print a block for each kind of pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3000)
    parser.add_argument("--json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    costs = []
    for case in CASES:
        cost = measure(case, chosen.repeats)
        costs.append(cost)
        operations = ", ".join(f"{count} {name}" for name, count in sorted(cost.operations.items()))
        print(
            f"{cost.case}: bare {cost.bare_us:.1f} us, added {cost.added_us:.1f} us, attention {cost.attention_us:+.1f}"
        )
        print(f"  {operations}; {cost.python_calls} Python calls, {cost.c_calls} C calls")
        for stage, spent in sorted(cost.stages_us.items(), key=lambda pair: -pair[1]):
            print(f"  {spent:7.1f} us  {stage}")
        sys.stdout.flush()
    if chosen.json:
        Path(chosen.json).write_text(json.dumps([asdict(cost) for cost in costs], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
