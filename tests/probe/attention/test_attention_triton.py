"""The Triton kernels equal the definition, come in time or not at all, and are what Hopper wants.

Without a GPU the same source runs under Triton's interpreter (`TRITON_INTERPRET=1`, set in `tests/probe/conftest.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.probe.attention.calls import KernelCall, ScoredCall
from locant.probe.attention.contract import STATISTICS, PassContext
from locant.probe.attention.engine import row_statistics
from locant.probe.attention.fastest import FastestEngine
from locant.probe.attention.layout import Layout, lay_out
from locant.probe.attention.rows import Rows
from probe.attention.situations import compare, every_row, situations

pytest.importorskip("triton", reason="NOT PROVEN HERE: Triton is missing; it is in the extra `dev`, on Linux")
from locant.probe.attention import triton_engine

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def moved(value: Any) -> Any:
    """A dataclass with its tensors on the device that the kernels run on."""
    changes = {f.name: getattr(value, f.name) for f in fields(value)}
    return replace(value, **{k: v.to(DEVICE) for k, v in changes.items() if isinstance(v, torch.Tensor)})


def launched(call: KernelCall, rows: Rows, layout: Layout, window: int | None = None) -> torch.Tensor:
    """The statistics by the kernels alone."""
    assert triton_engine.supports(call)
    launches, found = triton_engine.prepare(call, rows, layout, window)
    for launch in launches:
        launch.run()
    return found.cpu()


@settings(max_examples=15)
@given(situations(), st.sampled_from((16, 64)))
def test_the_kernels_equal_the_definition(situation: tuple[KernelCall, PassContext, int], keys_at_once: int) -> None:
    call, context, window = situation
    there, rows = moved(call), moved(every_row(call))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triton_engine, "_MOST_KEYS", keys_at_once)
        found = launched(there, rows, lay_out(moved(context), call.keys, rows), window)
    compare(found, call, context, window)


def plain(size: int = 16, keys: int = 70, queries: int = 12, **more: Any) -> KernelCall:
    """Three sequences, 4 query heads on 2 key heads."""
    torch.manual_seed(7)
    return KernelCall(torch.randn(3, 4, queries, size), torch.randn(3, 2, keys, size), size**-0.5, **more)


def block_diagonal(b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Requests of 30 tokens in a packed row."""
    return ((q + 58) // 30 == k // 30) & (k <= q + 58)


SLOPES = torch.tensor([0.5, 0.25, 0.125, 0.0625])[None, :, None, None]
CASES = {
    "ALiBi, one bias for every row": plain(bias=SLOPES * torch.arange(70.0), diagonal=58),
    "T5, a bias for each row": plain(bias=torch.randn(1, 4, 12, 70)),
    "a mask of padding that is longer than the keys": plain(mask=torch.rand(3, 1, 1, 90) < 0.8),
    "heads wider than a piece": plain(size=200, diagonal=58),
    "heads of a size that is no power of two, seen through a stride": replace(
        plain(), query=torch.randn(3, 12, 4, 24)[..., :20].transpose(1, 2), key=torch.randn(3, 2, 70, 20)
    ),
    "FlexAttention's mask function": plain(allows=block_diagonal),
    "sinks, softcap and a sliding window": plain(sinks=torch.randn(4), softcap=2.0, diagonal=58, window=9),
    "a decode step": plain(queries=1, diagonal=69),
    "rows that see nothing": plain(mask=torch.zeros(3, 1, 12, 70, dtype=torch.bool)),
    "two types": replace(plain(diagonal=58), key=torch.randn(3, 2, 70, 16, dtype=torch.bfloat16)),
}


@pytest.mark.parametrize("case", CASES)
def test_they_equal_the_torch_engine(case: str) -> None:
    call = CASES[case]
    queries = call.query.shape[2]
    chosen = Rows(torch.tensor([2, 0]), torch.randint(0, queries, (2, 5)), torch.ones(2, 5))
    pads, owner = torch.arange(70) < torch.tensor([[3], [0], [9]]), (torch.arange(70) // 30).expand(3, -1)
    context = PassContext(1, 3, queries, pads, owner, None, True, 1, 70 - queries)
    wanted = row_statistics(call, chosen, lay_out(context, 70, chosen), 6)
    rows = moved(chosen)
    found = launched(moved(call), rows, lay_out(moved(context), 70, rows), 6)
    for name, ours, theirs in zip(STATISTICS, found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def rows_and_layout(call: KernelCall) -> tuple[Rows, Layout]:
    """Every row of a call whose cache holds what its queries do not."""
    rows = every_row(call)
    context = PassContext(1, 3, call.query.shape[2], None, None, None, True, 1, call.keys - call.query.shape[2])
    return moved(rows), lay_out(context, call.keys, moved(rows))


def test_the_same_call_gives_the_same_bits() -> None:
    call = plain(keys=150, diagonal=138)
    there, (rows, layout) = moved(call), rows_and_layout(call)
    assert triton_engine.plan(there, 12, 3).stretches > 1
    once = launched(there, rows, layout)
    assert all(torch.equal(once, launched(there, rows, layout)) for _ in range(2))


@pytest.mark.parametrize(
    ("keys", "groups", "repeats", "size", "dtype"),
    [(1, 1, 1, 8, torch.float32), (65_536, 8, 4, 128, torch.bfloat16), (300, 2, 7, 576, torch.float16)],
)
def test_stretches_cover_every_key_once_and_tiles_stay_small(
    keys: int, groups: int, repeats: int, size: int, dtype: torch.dtype
) -> None:
    query = torch.empty(1, groups * repeats, 32, size, dtype=dtype, device="meta")
    blocks = triton_engine.plan(KernelCall(query, query.new_empty(1, groups, keys, size), 1.0), 32, 1)
    assert blocks.stretch * (blocks.stretches - 1) < keys <= blocks.stretch * blocks.stretches
    assert blocks.stretch % blocks.keys == 0
    assert blocks.width * (blocks.pieces - 1) < size <= blocks.width * blocks.pieces
    assert blocks.keys * blocks.width * query.element_size() <= 16 * 1024


def test_calls_that_the_kernels_cannot_read_are_left_to_torch() -> None:
    assert not triton_engine.supports(ScoredCall(torch.zeros(1, 1, 4, 4)))
    assert not triton_engine.supports(replace(plain(), query=plain().query.double()))
    assert not triton_engine.supports(replace(plain(), mask=torch.zeros(3, 1, 12, 70, dtype=torch.int64)))
    shifted = torch.zeros(3 * 2 * 70 * 16 + 1)[1:].view(3, 2, 70, 16)
    assert not triton_engine.supports(replace(plain(), key=shifted))


def settled(engine: FastestEngine, call: KernelCall, rows: Rows, layout: Layout) -> torch.Tensor:
    """The statistics once nothing is being compiled any more."""
    for _ in range(4):
        found = engine(call, rows, layout)
        for thread in threading.enumerate():
            if thread.name == "locant-compile":
                thread.join(120)
    return found


def test_a_pass_before_the_kernels_are_compiled_is_torchs_and_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    call, errors = plain(diagonal=58), []
    there, (rows, layout) = moved(call), rows_and_layout(call)
    engine = FastestEngine(errors.append, devices=(DEVICE,))
    slow = threading.Event()
    build = triton_engine.Launch.build
    monkeypatch.setattr(triton_engine.Launch, "build", lambda launch: lambda: (slow.wait(60), build(launch)())[1])
    engine(there, rows, layout)
    deadline = time.monotonic() + 120
    while engine._triton is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert torch.equal(engine(there, rows, layout), row_statistics(there, rows, layout))
    assert engine.launches == 0
    slow.set()
    torch.testing.assert_close(settled(engine, there, rows, layout), row_statistics(there, rows, layout))
    assert engine.launches > 0
    assert not errors


@pytest.mark.parametrize("breaks", ["prepare", "build", "run"])
def test_whatever_fails_is_told_and_torch_does_the_work(breaks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of shared memory")

    call, errors = plain(diagonal=58), []
    there, (rows, layout) = moved(call), rows_and_layout(call)
    monkeypatch.setattr(triton_engine if breaks == "prepare" else triton_engine.Launch, breaks, fail)
    engine = FastestEngine(errors.append, devices=(DEVICE,))
    for _ in range(3):
        assert torch.equal(settled(engine, there, rows, layout), row_statistics(there, rows, layout))
    assert 1 <= len(errors) <= 3
    assert engine.launches == 0


def test_a_machine_without_triton_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "locant.probe.attention.triton_engine", None)
    call, errors = plain(diagonal=58), []
    engine = FastestEngine(errors.append, devices=(DEVICE,))
    there, (rows, layout) = moved(call), rows_and_layout(call)
    assert torch.equal(settled(engine, there, rows, layout), row_statistics(there, rows, layout))
    assert not errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "unit", "variants"),
    [("90", "wgmma.mma_async", ("grouped", "everything")), ("80", "mma.sync", ("grouped",))],
)
def test_they_compile_for_a_gpu_to_its_matrix_unit_and_copies_ahead(
    architecture: str, unit: str, variants: tuple[str, ...]
) -> None:
    script = Path(__file__).with_name("compile_kernels.py")
    done = subprocess.run(
        [sys.executable, script, architecture, *variants],
        capture_output=True,
        text=True,
        env={**os.environ, "TRITON_INTERPRET": "0"},
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 2 * len(variants)
    assert all(one["shared"] <= 99 * 1024 and not one["atomics"] for one in found)
    assert all(one[unit] and one["cp.async"] for one in found if one["kernel"] == "sum_stretch")
