"""What looking at attention costs: a profiled layer beside its SDPA call, a lookup that nobody watches, whole steps.

    python benchmarks/attention_cost.py [--pairs 15] [--long] [--parts layers,steps] [--quick] [--device cpu|cuda]

Every line alternates bare and watched calls, so that drift of the machine hits both alike. The ratio is the median over
pairs, the spread its quartiles. On the CPU times are the process's own, so that neighbours count less.

`layer`: everything that a pass does for one layer (choose rows, judge the mask, all statistics of 32 rows, a heat map),
beside the SDPA call whose queries and keys it reads. `one of four`: the same where a pass looks at four layers, as it
does by default, and chooses rows and draws a map once for all; every look comes after its layer's call. `floor`: the
first over the time in which K, so many bytes, can be read once, at the rate at which this device copies memory (bytes
read and written). `memory`: what one look allocates at most beside what is there, with twice the rows and with four
times the keys. The last lines are steps of a model of 125 million parameters under a probe that looks at attention in
every pass, or at the default rate, beside a probe that never does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from measuring import Step, copied_bytes_per_second, peak_bytes, timed
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from locant.observation import ModelProfile
from locant.probe.attention.calls import KernelCall
from locant.probe.attention.contract import PassContext
from locant.probe.attention.forms import Forms
from locant.probe.attention.profiler import PassProfiler, Plan
from locant.probe.probe import Probe, ProbeOptions
from locant.probe.profile import describe
from locant.wire.channel import Channel

SHAPES = ((512, 12, 12, 64), (2048, 12, 12, 64), (2048, 16, 4, 128))
_TINY = {"n_head": 2, "n_embd": 8, "vocab_size": 16, "bos_token_id": 1, "eos_token_id": 2}
LONG = ((8192, 8, 8, 64),)


@dataclass(frozen=True)
class Cost:
    """One line of the result. `bare_us` and `added_us` are medians; the ratio is that of the added to the bare time."""

    what: str
    bare_us: float
    added_us: float
    ratio: float
    ratio_low: float
    ratio_high: float


def paired(what: str, bare: Step, extra: Step, pairs: int, device: str) -> Cost:
    """Time `bare` and `extra` in turn."""
    for step in (bare, extra, bare, extra):
        step()
    return summary(what, [(timed(bare, device), timed(extra, device)) for _ in range(pairs)])


def summary(what: str, times: list[tuple[float, float]]) -> Cost:
    """One line from pairs of (bare, added) seconds."""
    low, middle, high = statistics.quantiles([added / base for base, added in times], n=4)
    base, added = (statistics.median(column) * 1e6 for column in zip(*times, strict=True))
    return Cost(what, base, added, middle, low, high)


def plain_profile(layers: int) -> ModelProfile:
    """The profile of a small GPT-2, for the fields that the profiler reads."""
    return describe(GPT2LMHeadModel(GPT2Config(n_layer=layers, **_TINY)))


@dataclass(frozen=True)
class Layer:
    """One layer of a causal prefill: its own SDPA call, a look at it, what looks at four such, and the bytes of K."""

    bare: Step
    look: Step
    four: Callable[[], Iterator[Step]]
    key_bytes: int


def layer_of(shape: tuple[int, int, int, int], device: str, rows: int = 32) -> Layer:
    """A layer of random numbers: S, heads, key heads, size of a head. The look is one of many of its form."""
    length, heads, groups, size = shape
    query = torch.randn(1, heads, length, size, device=device)
    key, value = (torch.randn(1, groups, length, size, device=device) for _ in range(2))
    attend = torch.nn.functional.scaled_dot_product_attention
    plan, forms = Plan(rows, frozenset({0}), plain_profile(1)), Forms()
    context = PassContext(1, 1, length, None, None, None, causal=True, seed=1, cached=0)
    call = KernelCall(query, key, size**-0.5, diagonal=0)

    def bare() -> object:
        return attend(query, key, value, is_causal=True, enable_gqa=heads != groups)

    def look() -> object:
        found: list[object] = []
        PassProfiler(context, plan, found.append, forms=forms).look(0, call, None, (), None)
        return found

    def four() -> Iterator[Step]:
        several = Plan(rows, frozenset(range(4)), plain_profile(4))
        profiler = PassProfiler(context, several, lambda _: None, forms=forms)
        for number in range(4):
            yield partial(profiler.look, number, call, None, (), None)

    return Layer(bare, look, four, key.numel() * key.element_size())


def one_of_four(layer: Layer, device: str) -> tuple[float, float]:
    """Seconds of four layers' calls, and of the looks at them."""
    times = [(timed(layer.bare, device), timed(look, device)) for look in layer.four()]
    bare, looked = (sum(column) for column in zip(*times, strict=True))
    return bare, looked


def layer_costs(shape: tuple[int, int, int, int], pairs: int, device: str) -> Iterator[Cost]:
    """A profiled layer over its SDPA call, and over reading its K once."""
    layer, (length, heads, groups, size) = layer_of(shape, device), shape
    name = f"layer S={length} heads={heads}/{groups} d={size}"
    yield paired(name, layer.bare, layer.look, pairs, device)
    yield summary(f"{name}, one of four", [one_of_four(layer, device) for _ in range(pairs)])
    floor = layer.key_bytes / copied_bytes_per_second(device)
    times = [(floor, timed(layer.look, device)) for _ in range(pairs)]
    yield summary(f"floor S={length}: K is {layer.key_bytes / 1e6:.1f} MB", times)


def memory(device: str) -> Iterator[str]:
    """What a look allocates at most, by rows and by keys."""
    for length, rows in ((2048, 32), (2048, 64), (8192, 32)):
        layer = layer_of((length, 8, 8, 64), device, rows)
        used, keys = peak_bytes(layer.look, device) / 1e6, layer.key_bytes / 1e6
        yield f"memory of one look, S={length} heads=8 d=64, {rows} rows: {used:.2f} MB beside K of {keys:.1f} MB"


def unarmed_cost(pairs: int) -> Cost:
    """Looking an attention function up, behind the gate and without it."""
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, **_TINY)).eval()
    count = 20_000

    def lookups() -> float:
        started = time.process_time()
        for _ in range(count):
            ALL_ATTENTION_FUNCTIONS.get_interface("sdpa", None)
        return (time.process_time() - started) / count

    pairs_of_times = []
    for _ in range(pairs):
        before = lookups()
        probe = Probe(model, model_id=1, channel=Channel(), options=ProbeOptions(strict=True))
        probe.attach()
        pairs_of_times.append((before, lookups() - before))
        probe.close()
    return summary("unarmed lookup", pairs_of_times)


def step_costs(pairs: int, device: str) -> Iterator[Cost]:
    """Steps of a 125M GPT-2 whose attention is looked at in every pass, and at the rate that is the default."""
    model = GPT2LMHeadModel(GPT2Config(n_positions=2048)).eval().to(device)
    ids = torch.randint(3, 500, (1, 2001), device=device)
    cache = DynamicCache(config=model.config)
    model(input_ids=ids[:, :2000], past_key_values=cache)

    def decode() -> None:
        model(input_ids=ids[:, 2000:], past_key_values=cache)
        cache.crop(-1)

    def prefill() -> None:
        model(input_ids=ids[:, :512], use_cache=False)

    for name, step in (("decode, 2,000 keys", decode), ("prefill of 512", prefill)):
        for rate in (1.0, ProbeOptions().attention_rate):
            yield _watched(f"{name}, rate {rate:g}", model, step, rate, pairs, device)


def _watched(what: str, model: GPT2LMHeadModel, step: Step, rate: float, pairs: int, device: str) -> Cost:
    """The step under a probe that looks at attention, against one that does not: the difference is its price."""

    def seconds(attention_rate: float) -> float:
        budget = None if rate == 1.0 else ProbeOptions().overhead_budget
        options = ProbeOptions(attention_rate=attention_rate, rotary_rate=0.0, overhead_budget=budget, strict=True)
        probe = Probe(model, model_id=1, channel=Channel(10), options=options)
        probe.attach()
        for _ in range(4):
            step()
        found = sum(timed(step, device) for _ in range(each)) / each
        probe.close()
        return found

    each = 1 if rate == 1.0 else 20
    without_and_with = [(seconds(0.0), seconds(rate)) for _ in range(pairs)]
    return summary(what, [(without, looked - without) for without, looked in without_and_with])


def costs(pairs: int, device: str, parts: Sequence[str], *, long: bool, quick: bool) -> Iterator[Cost]:
    """Every line, the cheap ones first."""
    yield unarmed_cost(pairs)
    shapes = SHAPES[:1] if quick else SHAPES + (LONG if long else ())
    for shape in shapes if "layers" in parts else ():
        yield from layer_costs(shape, pairs if shape[0] < 8192 else 5, device)
    if "steps" in parts and not quick:
        yield from step_costs(pairs, device)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--long", action="store_true", help="also 8,192 tokens")
    parser.add_argument("--parts", default="layers,steps")
    parser.add_argument("--quick", action="store_true", help="one small layer, three pairs, no steps")
    parser.add_argument("--json", help="write the lines to this file too")
    chosen = parser.parse_args()
    torch.manual_seed(0)
    rows, pairs = [], 3 if chosen.quick else chosen.pairs
    print(f"{'what':40} {'bare µs':>12} {'added µs':>12} {'added ÷ bare':>13}   quartiles", flush=True)
    with torch.no_grad():
        for cost in costs(pairs, chosen.device, chosen.parts.split(","), long=chosen.long, quick=chosen.quick):
            rows.append(asdict(cost))
            spread = f"{cost.ratio_low:.3f} to {cost.ratio_high:.3f}"
            print(
                f"{cost.what:40} {cost.bare_us:12.2f} {cost.added_us:12.2f} {cost.ratio:13.3f}   {spread}", flush=True
            )
        for told in memory(chosen.device):
            print(told, flush=True)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
