"""Everything about the probe that only a GPU can show, in one run of under four minutes: proofs first, then costs.

    python benchmarks/gpu_check.py [--device cuda|cpu] [--quick] [--seconds 220] [--json OUT]

Each line says what was measured, what came out, the goal, and whether it was reached. A line that could not run says
why. Times are the device's own (CUDA events around batches of calls), paired and in turn; a ratio is the median over
pairs. `--device cpu --quick` runs what a CPU can of it, with small sizes, to show that the script works; its figures
say nothing about a GPU.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from gpu_launches import launches
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from locant.probe.attention.calls import KernelCall
from locant.probe.attention.contract import STATISTICS, PassContext
from locant.probe.attention.engine import row_statistics
from locant.probe.attention.fastest import FastestEngine
from locant.probe.attention.layout import Layout, lay_out
from locant.probe.attention.profiler import PassProfiler, Plan
from locant.probe.attention.reference import reference_statistics
from locant.probe.attention.rows import Rows
from locant.probe.probe import Probe, ProbeOptions
from locant.probe.profile import describe
from locant.wire.channel import Channel

Step = Callable[[], object]
GOALS = {512: 0.25, 2048: 0.10, 8192: 0.03, 32_768: 0.01, 65_536: 0.01}
"""Added time of one profiled layer over its FlashAttention or SDPA forward, 32 rows."""
HEADS, GROUPS, SIZE, ROWS = 32, 8, 128, 32
TESTS = Path(__file__).parents[1] / "tests" / "probe" / "cuda"


@dataclass(frozen=True)
class Bench:
    """Where and how large; `deadline` on the monotonic clock."""

    device: torch.device
    quick: bool
    deadline: float

    @property
    def on_gpu(self) -> bool:
        """Whether the device is one."""
        return self.device.type == "cuda"

    @property
    def dtype(self) -> torch.dtype:
        """What serving uses there."""
        return torch.bfloat16 if self.on_gpu else torch.float32

    @property
    def lengths(self) -> tuple[int, ...]:
        """Prompt lengths."""
        return (128, 512) if self.quick else tuple(GOALS) if self.on_gpu else (512, 2048)


@dataclass(frozen=True)
class Line:
    """One line of the table. `reached` is None where there is no goal, or none on this device."""

    what: str
    found: str
    goal: str = ""
    reached: bool | None = None


def seconds(bench: Bench, step: Step, times: int) -> float:
    """Of one call: the device's time on a GPU, this thread's on the CPU."""
    if not bench.on_gpu:
        started = time.thread_time()
        for _ in range(times):
            step()
        return (time.thread_time() - started) / times
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(times):
        step()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3 / times


def paired(bench: Bench, bare: Step, extra: Step, pairs: int = 9, times: int = 5) -> list[tuple[float, float]]:
    """(bare, extra) seconds in turn, after a warm-up of both."""
    for step in (bare, extra, bare, extra):
        step()
    pairs, times = (3, 2) if bench.quick else (pairs, times)
    return [(seconds(bench, bare, times), seconds(bench, extra, times)) for _ in range(pairs)]


def ratio(times: list[tuple[float, float]]) -> tuple[float, str]:
    """The median of extra over bare, and that with its quartiles and the two medians in microseconds."""
    low, middle, high = statistics.quantiles([extra / bare for bare, extra in times], n=4)
    bare, extra = (statistics.median(column) * 1e6 for column in zip(*times, strict=True))
    return middle, f"{middle:.4f} ({low:.4f} to {high:.4f}); {extra:.1f} µs beside {bare:.1f} µs"


@dataclass(frozen=True)
class Layer:
    """Queries, keys and values of one causal prefill, and the rows that are sampled of it."""

    call: KernelCall
    value: Tensor
    rows: Rows
    context: PassContext

    @property
    def layout(self) -> Layout:
        """Where its keys stand."""
        return lay_out(self.context, self.call.keys, self.rows)


def layer_of(bench: Bench, length: int, heads: int = HEADS, groups: int = GROUPS, size: int = SIZE) -> Layer:
    """A layer of random numbers."""
    query = torch.randn(1, heads, length, size, device=bench.device, dtype=bench.dtype)
    key, value = (torch.randn(1, groups, length, size, device=bench.device, dtype=bench.dtype) for _ in range(2))
    picks = torch.linspace(0, length - 1, ROWS).long().to(bench.device)[None]
    rows = Rows(None, picks, torch.ones(1, ROWS, device=bench.device))
    context = PassContext(1, 1, length, None, None, None, True, 1, 0)
    return Layer(KernelCall(query, key, size**-0.5, diagonal=0), value, rows, context)


def attention(layer: Layer) -> Step:
    """The layer's own call: FlashAttention where it takes it, else what torch chooses."""
    call = layer.call

    def run() -> Tensor:
        return torch.nn.functional.scaled_dot_product_attention(
            call.query, call.key, layer.value, is_causal=True, enable_gqa=call.heads != call.key.shape[1]
        )

    def flash() -> Tensor:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return run()

    try:
        flash()
    except RuntimeError:
        return run
    return flash


def ready_engine(layer: Layer) -> FastestEngine:
    """The engine after it compiled what this call needs; on the CPU it is torch's at once."""
    errors: list[Exception] = []
    engine = FastestEngine(errors.append)
    for _ in range(4):
        engine(layer.call, layer.rows, layer.layout)
        for thread in threading.enumerate():
            if thread.name == "locant-compile":
                thread.join(60)
    if errors:
        raise errors[0]
    return engine


def tests(bench: Bench) -> Iterator[Line]:
    """The test suite's part about CUDA: no synchronisation, the same bits, the side stream, graphs."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(TESTS)],
        capture_output=True, text=True, timeout=120, cwd=TESTS.parents[2],
        env={**os.environ, **({} if bench.on_gpu else {"CUDA_VISIBLE_DEVICES": ""})},
    )  # fmt: skip
    told = done.stdout.strip().splitlines()
    yield Line("tests/probe/cuda", told[-1] if told else done.stderr[-200:], "all pass", done.returncode == 0)


def exactness(bench: Bench) -> Iterator[Line]:
    """The engine that is used here against float64, and against itself."""
    for heads, groups, size in ((8, 2, 128), (4, 4, 80)):
        layer = layer_of(bench, 300, heads, groups, size)
        engine = ready_engine(layer)
        found = engine(layer.call, layer.rows, layer.layout)
        again = engine(layer.call, layer.rows, layer.layout)
        there = KernelCall(layer.call.query.cpu(), layer.call.key.cpu(), layer.call.scale, diagonal=0)
        wanted = reference_statistics(there, 0)
        worst = max(
            float(((found[place].cpu().double() - of_rows(wanted[name], layer)).abs() / scale_of(name, layer)).amax())
            for place, name in enumerate(STATISTICS)
            if name != "relative_entropy"
        )
        by = "Triton" if engine.launches else "torch"
        what = f"{by} engine, {heads}/{groups} heads of {size}: largest error"
        yield Line(what, f"{worst:.1e} of float64", "1e-5", worst <= 1e-5)
        yield Line(f"{what.partition(':')[0]}: the same bits twice", str(torch.equal(found, again)), "True",
                   torch.equal(found, again))  # fmt: skip
        if bench.on_gpu:
            yield Line("Triton is what runs", str(engine.launches > 0), "True", engine.launches > 0)


def of_rows(reference: Tensor, layer: Layer) -> Tensor:
    """A statistic of the reference [B, H, Q] at the sampled rows, [N, R, H]."""
    return reference.permute(0, 2, 1)[:, layer.rows.queries[0].cpu()]


def scale_of(name: str, layer: Layer) -> float:
    """What an error is measured by: distances by the length, everything else by 1."""
    return float(layer.call.keys) if name == "distance" else 1.0


def copy_bandwidth(bench: Bench) -> float:
    """Bytes a second that go to and from memory while the device copies a large buffer."""
    count = 1 << (22 if bench.quick else 29)
    source = torch.empty(count, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    best = min(seconds(bench, lambda: target.copy_(source), 3) for _ in range(5))
    return 2 * count / best


def layers(bench: Bench) -> Iterator[Line]:
    """One layer at every length: the statistics alone, everything a look does, memory, and the floor."""
    bandwidth = copy_bandwidth(bench)
    yield Line("copy bandwidth", f"{bandwidth / 1e9:.0f} GB/s")
    profile = describe(
        GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=16, bos_token_id=1, eos_token_id=2))
    )
    for length in bench.lengths:
        layer = layer_of(bench, length)
        bare, engine = attention(layer), ready_engine(layer)
        layout = layer.layout

        def statistics_alone(layer: Layer = layer, engine: FastestEngine = engine, layout: Layout = layout) -> object:
            return engine(layer.call, layer.rows, layout)

        def torch_alone(layer: Layer = layer, layout: Layout = layout) -> object:
            return row_statistics(layer.call, layer.rows, layout)

        def look(layer: Layer = layer, engine: FastestEngine = engine) -> object:
            found: list[object] = []
            PassProfiler(layer.context, Plan(ROWS, frozenset({0}), profile), found.append, engine).look(
                0, layer.call, None, (), None
            )
            return found

        goal = GOALS.get(length) if bench.on_gpu else None
        times = paired(bench, bare, statistics_alone)
        value, said = ratio(times)
        by = "Triton" if engine.launches else "torch"
        met = value <= goal if goal is not None else None
        yield Line(f"S={length}: statistics of 32 rows ({by})", said, f"{goal}" if goal else "", met)
        yield Line(f"S={length}: the same by torch", ratio(paired(bench, bare, torch_alone))[1])
        yield Line(f"S={length}: a whole look", ratio(paired(bench, bare, look))[1])
        key = layer.call.key
        floor = key.numel() * key.element_size() / bandwidth
        took = statistics.median(extra for _, extra in times)
        yield Line(f"S={length}: time over reading K once", f"{took / floor:.1f} times {floor * 1e6:.1f} µs")
        if bench.on_gpu:
            yield peak(length, statistics_alone)
        del layer, layout


def peak(length: int, step: Step) -> Line:
    """Memory that a step takes at most beside what is there."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    used = torch.cuda.max_memory_allocated() - before
    rows = ROWS * HEADS * 13 * 4
    return Line(f"S={length}: memory", f"{used / 1e6:.2f} MB", "under 16 MB at any length", used < 16e6 + 40 * rows)


def model_of(bench: Bench) -> GPT2LMHeadModel:
    """125 million parameters, or a small one."""
    size: dict[str, Any] = {"n_layer": 2, "n_embd": 64, "n_head": 2} if bench.quick else {}
    return GPT2LMHeadModel(GPT2Config(n_positions=2048, **size)).eval().to(bench.device, bench.dtype)


def host_cost(bench: Bench) -> Iterator[Line]:
    """What a pass that is not looked at costs the host, hooks and events together."""
    model = GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=16, n_positions=64, bos_token_id=1, eos_token_id=2)
    ).eval()
    model.to(bench.device)
    ids = torch.ones(1, 4, dtype=torch.long, device=bench.device)
    count = 50 if bench.quick else 300

    def forwards() -> float:
        if bench.on_gpu:
            torch.cuda.synchronize()
        clock = time.perf_counter if bench.on_gpu else time.thread_time
        started = clock()
        for _ in range(count):
            model(input_ids=ids, use_cache=False)
        return (clock() - started) / count

    forwards()
    added = []
    for _ in range(3 if bench.quick else 9):
        bare = forwards()
        with watching(model, ProbeOptions(attention_rate=0.0, rotary_rate=0.0, strict=True)):
            forwards()
            added.append(forwards() - bare)
    middle = statistics.median(added) * 1e6
    yield Line("a pass that is not looked at, host", f"{middle:+.1f} µs", "5 µs", middle <= 5 if bench.on_gpu else None)


class watching:  # noqa: N801 - reads as a statement
    """A probe on a model for the length of a block."""

    def __init__(self, model: GPT2LMHeadModel, options: ProbeOptions) -> None:
        self.channel = Channel(1_000_000)
        self.probe = Probe(model, model_id=1, channel=self.channel, options=options)

    def __enter__(self) -> watching:
        self.probe.attach()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.probe.close()

    def _poll(self) -> None:
        while not self._stop.wait(0.05):
            self.probe.poll()
            self.channel.drain(100_000)


def generation(bench: Bench) -> Iterator[Line]:
    """Decode steps with default settings: on the average, in the worst step, and the governor's own view."""
    model, prompt = model_of(bench), 64 if bench.quick else 1000
    steps = 30 if bench.quick else 200
    ids = torch.randint(3, 500, (4, prompt), device=bench.device)

    def run() -> list[float]:
        cache = DynamicCache(config=model.config)
        forward(model, ids, cache)
        took = []
        for _ in range(steps):
            started = time.perf_counter()
            forward(model, ids[:, :1], cache)
            if bench.on_gpu:
                torch.cuda.synchronize()
            took.append(time.perf_counter() - started)
        return took

    run()
    ratios, worst = [], []
    with watching(model, ProbeOptions(strict=True)):
        run()  # the first looks are free, and the kernels compile
        time.sleep(0 if bench.quick else 8)
    for _ in range(2 if bench.quick else 5):
        bare = run()
        with watching(model, ProbeOptions(strict=True)):
            run()
            seen = run()
        ratios.append(sum(seen) / sum(bare))
        worst.append(statistics.quantiles(seen, n=100)[98] / statistics.median(bare))
    value = statistics.median(ratios)
    goal = bench.on_gpu
    yield Line("decoding by default settings over bare", f"{value:.4f}", "1.01", value <= 1.01 if goal else None)
    late = statistics.median(worst)
    yield Line("its slowest step in a hundred over the bare median", f"{late:.3f}")


def forward(model: GPT2LMHeadModel, ids: Tensor, cache: DynamicCache) -> None:
    """A pass with a cache, by the name that this release of transformers has for it."""
    names = inspect.signature(type(model).forward).parameters
    model(input_ids=ids, **{"cache" if "cache" in names else "past_key_values": cache}, use_cache=True)


def launched(bench: Bench) -> Iterator[Line]:
    """What a decode step that is not looked at launches beside the model's own."""
    model = model_of(bench)
    ids = torch.ones(4, 1, dtype=torch.long, device=bench.device)
    cache = DynamicCache(config=model.config)

    def step() -> None:
        forward(model, ids, cache)

    for _ in range(3):
        step()
    bare = launches(step)
    with watching(model, ProbeOptions(attention_rate=0.0, rotary_rate=0.0, strict=True)) as seen:
        for _ in range(40):
            step()
            if bench.on_gpu:
                torch.cuda.synchronize()
            seen.probe.poll()
        found = launches(step) - bare
    told = ", ".join(f"{count} {name}" for name, count in sorted(found.items()))
    wanted = {"cat": 1, "copy_": 1, "record": 3, "wait_event": 1} if bench.on_gpu else {"clone": 1}
    met = all(found[name] <= wanted.get(name, 0) for name in found if name != "current_stream")
    yield Line("a decode step that is not looked at adds", told, str(wanted), met)


SECTIONS: tuple[Callable[[Bench], Iterator[Line]], ...] = (exactness, layers, host_cost, launched, generation, tests)


def lines(bench: Bench) -> Iterator[Line]:
    """Every section that time is left for; one that fails is a line too."""
    for section in SECTIONS:
        if time.monotonic() >= bench.deadline:
            yield Line(section.__name__, "not run: out of time", "", False)
            continue
        try:
            with torch.no_grad():
                yield from section(bench)
        except Exception as error:
            yield Line(section.__name__, f"{type(error).__name__}: {str(error)[:160]}", "", False)


def main() -> None:
    """Print the table; exit status 1 when a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--quick", action="store_true", help="small sizes, a few repetitions")
    parser.add_argument("--seconds", type=float, default=220.0, help="start no section after so long")
    parser.add_argument("--json", help="write the lines to this file too")
    chosen = parser.parse_args()
    if chosen.device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu_check: there is no CUDA device; `--device cpu --quick` shows that the script works")
    torch.manual_seed(0)
    bench = Bench(torch.device(chosen.device), chosen.quick, time.monotonic() + chosen.seconds)
    name = torch.cuda.get_device_name() if bench.on_gpu else "CPU"
    print(f"{name}, torch {torch.__version__}\n{'what':58} {'found':60} {'goal':26} reached", flush=True)
    found = []
    for line in lines(bench):
        found.append(line)
        reached = {None: "", True: "yes", False: "NO"}[line.reached]
        print(f"{line.what:58} {line.found:60} {line.goal:26} {reached}", flush=True)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps([asdict(line) for line in found], indent=1), encoding="utf-8")
    sys.exit(1 if any(line.reached is False for line in found) else 0)


if __name__ == "__main__":
    main()
