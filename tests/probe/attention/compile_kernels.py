"""Compiles the Triton kernels for a GPU that need not be there, and prints what came of it: a line of JSON a variant.

python compile_kernels.py ARCHITECTURE    # 90 is Hopper, 80 Ampere; not under TRITON_INTERPRET
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from locant.probe.attention import triton_engine, triton_kernels
from locant.probe.attention.calls import KernelCall
from locant.probe.attention.contract import PassContext
from locant.probe.attention.layout import lay_out
from locant.probe.attention.rows import Rows

POINTERS = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.uint8: "*u8",
    torch.int64: "*i64",
}
DIVISIBLE = [["tt.divisibility", 16]]
KEPT_GENERAL = {*triton_kernels._CHANGING, *triton_kernels._CHANGING_SIZES}


def call_of(dtype: torch.dtype, size: int, repeats: int, **more: Any) -> tuple[KernelCall, Rows, PassContext]:
    """A decoder's prefill of 512 tokens with 4 key heads, of which 32 rows are sampled."""
    query, key = torch.zeros(1, 4 * repeats, 512, size, dtype=dtype), torch.zeros(1, 4, 512, size, dtype=dtype)
    rows = Rows(None, torch.arange(32)[None], torch.ones(1, 32))
    return KernelCall(query, key, size**-0.5, **more), rows, PassContext(1, 1, 512, None, None, None, True, 1, 0)


def source_of(launch: triton_engine.Launch) -> ASTSource:
    """The kernel specialised as the launch would have it."""
    names = launch.kernel.arg_names
    signature: dict[str, str] = {}
    constants: dict[tuple[int, ...], Any] = {}
    attributes: dict[tuple[int, ...], Any] = {}
    given = (*launch.tensors, *launch.numbers, *launch.strides)
    for place, (name, value) in enumerate(zip(names, given, strict=False)):
        if isinstance(value, torch.Tensor):
            signature[name], attributes[place,] = POINTERS[value.dtype], DIVISIBLE
        elif isinstance(value, float):
            signature[name] = "fp32"
        elif value == 1 and name not in KEPT_GENERAL:
            signature[name], constants[place,] = "constexpr", 1
        else:
            signature[name] = "i32"
            if value % 16 == 0 and name not in KEPT_GENERAL:
                attributes[place,] = DIVISIBLE
    for name, value in {**launch.constants, **({"WIDEN": False} if "WIDEN" in launch.constants else {})}.items():
        signature[name], constants[names.index(name),] = "constexpr", value
    return ASTSource(launch.kernel, signature, constants, attributes)


def main() -> None:
    """Compile the variants of a plain grouped decoder, one with every mask, and one in float32."""
    mask = torch.ones(1, 1, 512, 512, dtype=torch.bool)
    bias = torch.zeros(1, 16, 512, 512)
    variants = {
        "grouped": call_of(torch.bfloat16, 128, 4, diagonal=0),
        "everything": call_of(torch.bfloat16, 80, 4, mask=mask, bias=bias, softcap=5.0, sinks=torch.zeros(16)),
        "float32": call_of(torch.float32, 128, 1, diagonal=0, window=128),
    }
    for name in sys.argv[2:]:
        call, rows, context = variants[name]
        launches, _ = triton_engine.prepare(call, rows, lay_out(context, call.keys, rows), 64)
        for launch in launches:
            target, options = GPUTarget("cuda", int(sys.argv[1]), 32), triton_engine._OPTIONS
            found = triton.compile(source_of(launch), target=target, options=options)
            ptx = found.asm["ptx"]
            seen = {word: ptx.count(word) for word in ("wgmma.mma_async", "mma.sync", "cp.async")}
            seen["atomics"] = len(re.findall(r"\b(?:red|atom)\.global", ptx))
            what = {"variant": name, "kernel": launch.kernel.__name__, "shared": found.metadata.shared}
            sys.stdout.write(json.dumps({**what, **seen}) + "\n")


if __name__ == "__main__":
    main()
