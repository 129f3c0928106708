"""What a watch costs: one forward bare and watched, in pairs, on a tiny GPT-2 and on one of 125 million parameters.

    python benchmarks/probe_overhead.py [--pairs 40] [--device cpu|cuda] [--json OUT]

Bare and watched calls alternate, so that drift of the machine hits both alike; the ratio is the median over pairs, the
spread its quartiles. "unsampled" passes are counted and reduced to a row of integers each; "sampled" ones also compare
rotary values and attention. "hooks" is the time spent in the two hooks of a pass, as the probe itself counts it; "poll"
the time that the agent's thread spends on a pass; "bytes" what leaves the device for it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from locant.observation import ForwardFacts, RowField
from locant.probe.probe import Probe, ProbeOptions
from locant.wire.channel import Channel

Step = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """One line of the result; times in microseconds."""

    model: str
    call: str
    sampled: bool
    bare_us: float
    added_us: float
    ratio: float
    ratio_low: float
    ratio_high: float
    hooks_us: float
    poll_us: float
    bytes_per_pass: int


def build(name: str, device: str) -> GPT2LMHeadModel:
    """A random model: "tiny" (2 layers of 64) or "125M" (GPT-2 small)."""
    size = {"n_layer": 2, "n_head": 4, "n_embd": 64, "vocab_size": 512} if name == "tiny" else {}
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(**size)).eval().to(device)


def steps(model: GPT2LMHeadModel, device: str) -> dict[str, Step]:
    """The calls that are timed: one decode step of 4 sequences on a cache of 32 tokens, and a prefill of 4 x 32."""
    ids = torch.randint(3, 500, (4, 33), device=device)
    mask = torch.ones_like(ids)
    cache = DynamicCache(config=model.config)
    model(input_ids=ids[:, :32], past_key_values=cache)

    def decode() -> object:
        answer = model(input_ids=ids[:, 32:], attention_mask=mask, past_key_values=cache)
        cache.crop(-1)
        return answer

    return {"decode 4x1": decode, "prefill 4x32": lambda: model(input_ids=ids[:, :32], use_cache=False)}


def timed(step: Step, device: str) -> float:
    """Seconds of one call, the device's work included."""
    started = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure(name: str, call: str, *, sampled: bool, pairs: int, device: str) -> Cost:
    """Bare and watched calls in turn: the probe is attached and detached between them, outside the clock."""
    model = build(name, device)
    step = steps(model, device)[call]
    rate = 1.0 if sampled else 0.0
    options = ProbeOptions(attention_rate=rate, rotary_rate=rate, overhead_budget=None, strict=True)
    bare, watched, polls, hooks = [], [], [], []
    for _ in range(3):
        step()
    for _ in range(pairs):
        bare.append(timed(step, device))
        channel = Channel()
        probe = Probe(model, model_id=1, channel=channel, options=options)
        probe.attach()
        step()
        spent = probe.governor.spent_seconds
        watched.append(timed(step, device))
        hooks.append(probe.governor.spent_seconds - spent)
        started = time.perf_counter()
        probe.flush(5.0)
        polls.append((time.perf_counter() - started) / 2)
        facts = [item for item in channel.drain() if isinstance(item, ForwardFacts)]
        probe.close()
    ratios = [after / before for before, after in zip(bare, watched, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    added = statistics.median(after - before for before, after in zip(bare, watched, strict=True))
    size = sum(len(item.rows) for item in facts[-1:]) * len(RowField) * 8
    return Cost(
        name,
        call,
        sampled,
        statistics.median(bare) * 1e6,
        added * 1e6,
        middle,
        low,
        high,
        statistics.median(hooks) * 1e6,
        statistics.median(polls) * 1e6,
        size,
    )


HEADER = (
    f"{'model':6} {'call':13} {'pass':10} {'bare us':>9} {'added us':>9} {'ratio':>6} {'quartiles':>13} "
    f"{'hooks us':>9} {'poll us':>8} {'bytes':>6}"
)


def line(cost: Cost) -> str:
    """One row of the table."""
    kind = "sampled" if cost.sampled else "unsampled"
    return (
        f"{cost.model:6} {cost.call:13} {kind:10} {cost.bare_us:9.0f} {cost.added_us:9.1f} {cost.ratio:6.3f} "
        f"{cost.ratio_low:6.3f}-{cost.ratio_high:.3f} {cost.hooks_us:9.1f} {cost.poll_us:8.0f} {cost.bytes_per_pass:6d}"
    )


def main() -> None:
    """Run every combination and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--models", default="tiny,125M")
    parser.add_argument("--json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    print(HEADER)
    costs = []
    for name in chosen.models.split(","):
        for call in ("decode 4x1", "prefill 4x32"):
            for sampled in (False, True):
                pairs = chosen.pairs if name == "tiny" else max(8, chosen.pairs // 4)
                costs.append(measure(name, call, sampled=sampled, pairs=pairs, device=chosen.device))
                print(line(costs[-1]), flush=True)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps([asdict(cost) for cost in costs], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
