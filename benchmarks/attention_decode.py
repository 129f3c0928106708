"""A long decode under default settings: what it costs on the average, and what the dearest steps cost.

    python benchmarks/attention_decode.py [--steps 600] [--keys 1000] [--sizes small,125M] [--quick] [--json OUT]

Two models over the same weights decode the same sequence, step by step in turn, each with a cache of its own; one is
under `locant.watch` with a sidecar. Times are processor time of the thread that runs the model, the average also that
of the process (the probe's background thread included). Steps of the warm-up are not counted: the first ones of a kind
are looked at more often. A step whose attention or rotary values were looked at is "profiled"; "slowest in a hundred"
is the 99th percentile over the median, watched and bare.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import DynamicCache, GPT2LMHeadModel
from watched import cache_argument, quartiles, random_model, sidecar, twin

import locant
from locant.remote import RemoteAgent

BLOCK = 50
"""Steps whose sums make one ratio: one step is too short to be measured alone."""


@dataclass(frozen=True)
class Step:
    """One step of both: seconds of the thread and of the process, and the looks that were taken in it.

    `spent` and `forward`: seconds that the probe has put down to itself, and to the model, by the clock.
    """

    bare: float
    watched: float
    bare_process: float
    watched_process: float
    looks: int
    spent: float
    forward: float


@dataclass(frozen=True)
class Result:
    """What a decode came to. Spreads are (lower quartile, median, upper quartile) over blocks of steps."""

    size: str
    keys: int
    steps: int
    step_ms: float
    thread: tuple[float, float, float]
    process: tuple[float, float, float]
    account: float
    late_bare: float
    late_watched: float
    profiled: int
    profiled_median: float
    profiled_slowest: float


class Decoding:
    """One model and its cache, a token at a time."""

    def __init__(self, model: GPT2LMHeadModel, ids: torch.Tensor) -> None:
        self._model = model
        self._cache = DynamicCache(config=model.config)
        self._named = {cache_argument(model): self._cache}
        self._last = self._forward(ids)

    def _forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits = self._model(input_ids=ids, use_cache=True, logits_to_keep=1, **self._named).logits
        return logits[:, -1:].argmax(-1)

    def step(self) -> tuple[float, float]:
        """Decode one token: seconds of this thread, and of the process."""
        thread, process = time.thread_time(), time.process_time()
        self._last = self._forward(self._last)
        return time.thread_time() - thread, time.process_time() - process


def decode(model: GPT2LMHeadModel, keys: int, warm_up: int, steps: int) -> Iterator[Step]:
    """Every counted step."""
    ids = torch.randint(3, 500, (1, keys), generator=torch.Generator().manual_seed(1))
    watched_model = twin(model)
    with sidecar() as (path, _):
        agent = RemoteAgent(path)
        with locant.watch(watched_model, agent=agent) as watch:
            governor = watch.probe.governor
            bare, watched = Decoding(model, ids), Decoding(watched_model, ids)
            for number in range(warm_up + steps):
                before = (governor.looks["taken"], governor.spent_seconds, governor.forward_seconds)
                runs = {"bare": bare.step, "watched": watched.step}
                took = {name: runs[name]() for name in sorted(runs, reverse=bool(number % 2))}
                if number >= warm_up:
                    (one, all_of_one), (other, all_of_other) = took["bare"], took["watched"]
                    after = (governor.looks["taken"], governor.spent_seconds, governor.forward_seconds)
                    looks, spent, forward = (now - then for now, then in zip(after, before, strict=True))
                    yield Step(one, other, all_of_one, all_of_other, int(looks), spent, forward)
        agent.close()


def result(size: str, keys: int, steps: list[Step]) -> Result:
    """The summary. Profiled steps are compared with the bare step beside them."""
    blocks = [steps[start : start + BLOCK] for start in range(0, len(steps) - BLOCK + 1, BLOCK)]
    bare, watched = [step.bare for step in steps], [step.watched for step in steps]
    usual_bare, usual = statistics.median(bare), statistics.median(watched)
    profiled = [step.watched / usual for step in steps if step.looks]
    return Result(
        size,
        keys,
        len(steps),
        usual_bare * 1e3,
        quartiles([sum(one.watched for one in block) / sum(one.bare for one in block) for block in blocks]),
        quartiles(
            [sum(one.watched_process for one in block) / sum(one.bare_process for one in block) for block in blocks]
        ),
        sum(step.spent for step in steps) / max(sum(step.forward for step in steps), 1e-9),
        statistics.quantiles(bare, n=100)[98] / usual_bare,
        statistics.quantiles(watched, n=100)[98] / usual,
        len(profiled),
        statistics.median(profiled) if profiled else float("nan"),
        max(profiled, default=float("nan")),
    )


def text(found: Result) -> Iterator[str]:
    """The table of one decode."""
    yield f"{found.size}, {found.keys} keys, {found.steps} steps of {found.step_ms:.1f} ms"
    for what, (low, middle, high) in (("model's thread", found.thread), ("process", found.process)):
        yield f"  average over bare, {what:15} {middle:.4f} ({low:.4f} to {high:.4f})"
    yield f"  what the probe puts down to itself, of the model's time: {found.account:.4f}"
    yield f"  slowest in a hundred over the median {found.late_watched:.3f}, bare {found.late_bare:.3f}"
    yield (
        f"  profiled steps {found.profiled}: over the median step {found.profiled_median:.3f}, "
        f"slowest {found.profiled_slowest:.3f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--warm-up", type=int, default=60)
    parser.add_argument("--sizes", default="small,125M")
    parser.add_argument("--quick", action="store_true", help="the small model, 100 steps on 100 keys")
    parser.add_argument("--json", help="write the results to this file too")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    warnings.simplefilter("ignore")
    keys, warm_up, steps = (100, 20, 100) if chosen.quick else (chosen.keys, chosen.warm_up, chosen.steps)
    results = []
    for size in ["small"] if chosen.quick else chosen.sizes.split(","):
        results.append(result(size, keys, list(decode(random_model(size), keys, warm_up, steps))))
        print("\n".join(text(results[-1])), flush=True)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps([asdict(one) for one in results], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
