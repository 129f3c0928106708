"""The statistics of `engine.row_statistics` by the Triton kernels: what to launch, and what must be compiled first.

Block sizes, for Hopper and legal everywhere: at most 64 rows, what its matrix unit takes at once, by 64 keys, so that
each of 128 threads holds 32 scores and nothing spills; a tile of keys is at most 16 KiB, of which three are in flight:
with several programs on a multiprocessor that is more than memory's latency needs, and it fits the 99 KiB of small
devices. Keys are split until some 264 programs run, two for each of an H100's 132 multiprocessors, and on other devices
alike: how a sum is cut decides its last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from locant.probe.attention import triton_kernels
from locant.probe.attention.calls import Attention, KernelCall
from locant.probe.attention.contract import STATISTICS
from locant.probe.attention.layout import Layout
from locant.probe.attention.rows import Rows

_PROGRAMS = 264
_MOST_ROWS, _MOST_KEYS = 64, 64
_KEY_TILE_BYTES = 16 * 1024
_WIDEST_PIECE = 128
_LINES = 128
_OPTIONS = {"num_warps": 4, "num_stages": 3, "enable_fp_fusion": True}
_FLOATS = (torch.float32, torch.bfloat16, torch.float16)
_ALIGNED = 16


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel, its arguments (tensors, numbers that change from pass to pass, strides), constants and grid."""

    kernel: Any
    tensors: tuple[Tensor, ...]
    numbers: tuple[int | float, ...]
    strides: tuple[int, ...]
    constants: dict[str, Any]
    grid: tuple[int, ...]

    @property
    def kind(self) -> Hashable:
        """Launches of the same kind run the same compiled kernel; Triton looks at strides of 1 and multiples of 16."""
        types = tuple(tensor.dtype for tensor in self.tensors)
        strides = tuple((step == 1, step % _ALIGNED == 0, step >= 2**31) for step in self.strides)
        return self.kernel.__name__, types, strides, *self.constants.items()

    def run(self) -> None:
        """Launch on the current stream of the current device."""
        self.kernel[self.grid](*self.tensors, *self.numbers, *self.strides, **self.constants, **_OPTIONS)

    def build(self) -> Callable[[], None]:
        """What compiles the kernel for launches of this kind and loads it. Holds none of the tensors' memory."""
        arguments = (*(tensor.dtype for tensor in self.tensors), *self.numbers, *self.strides)
        kernel, grid, constants = self.kernel, self.grid, self.constants

        def compile_and_load() -> None:
            compiled = kernel.warmup(*arguments, grid=grid, **constants, **_OPTIONS)
            load = getattr(compiled, "_init_handles", None)  # else the first launch would load it, and may wait
            if load is not None:
                load()

        return compile_and_load


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows and keys of a tile, width of a piece of the head and their number, and how many keys a program takes."""

    rows: int
    keys: int
    width: int
    pieces: int
    stretch: int
    stretches: int


def supports(call: Attention) -> bool:
    """Whether the kernels can read this call: plain strided tensors of the usual types, on 16-byte boundaries."""
    if not isinstance(call, KernelCall) or not call.keys:
        return False
    tables = [table for table in (call.mask, call.bias) if table is not None]
    plain = all(type(tensor) is Tensor and _aligned(tensor) for tensor in (call.query, call.key, *tables))
    known = all(table.dtype in (*_FLOATS, torch.bool) for table in tables)
    return plain and known and call.query.dtype in _FLOATS and call.key.dtype in _FLOATS


def plan(call: KernelCall, sampled: int, sequences: int) -> Blocks:
    """Tile sizes for `sampled` rows of each of some sequences."""
    groups, size = call.key.shape[1], call.query.shape[3]
    lines = sampled * (call.heads // groups)
    width = min(_power(size), _WIDEST_PIECE)
    rows = min(_power(lines), _MOST_ROWS)
    keys = min(_MOST_KEYS, _KEY_TILE_BYTES // (width * call.key.element_size()))
    programs = sequences * groups * -(-lines // rows)
    tiles = -(-call.keys // keys)
    each = max(-(-tiles // max(-(-_PROGRAMS // programs), 1)), 2)
    return Blocks(rows, keys, width, -(-size // width), each * keys, -(-tiles // each))


def prepare(call: KernelCall, rows: Rows, layout: Layout, window: int | None) -> tuple[tuple[Launch, Launch], Tensor]:
    """What to launch, in order, and the tensor that then holds the statistics."""
    count, sampled = rows.queries.shape
    blocks = plan(call, sampled, count)
    lines = count * sampled * call.heads
    sums = torch.empty(triton_kernels.SUMS, blocks.stretches, lines, device=call.device)
    found = torch.empty(len(STATISTICS), count, sampled, call.heads, device=call.device)
    return (_stretches(call, rows, layout, window, blocks, sums), _merge(call, sums, found)), found


def _stretches(
    call: KernelCall, rows: Rows, layout: Layout, window: int | None, blocks: Blocks, sums: Tensor
) -> Launch:
    count, sampled = rows.queries.shape
    groups, unused = call.key.shape[1], call.query
    mask, bias = _bytes(call.mask), call.bias
    refused = None if call.allows is None else _bytes(_own(call.refused(rows)))
    padding = None if layout.padding is None else _bytes(_own(layout.padding))
    request = None if layout.request is None else _own(layout.request)
    mine = None if request is None else request.gather(1, layout.own)
    chosen = None if rows.sequences is None else _own(rows.sequences)
    tables = (mask, bias, refused, padding, request, chosen)
    tensors = (
        *(call.query, call.key),
        *(unused if table is None else table for table in tables),
        *(_own(rows.queries), _own(layout.own), unused if mine is None else mine),
        *(_own(layout.opening), sums),
    )
    shape = (float(call.scale), float(call.softcap or 1.0), call.diagonal or 0, call.window or 0, window or 0)
    numbers = (*shape, sampled, call.keys, groups, blocks.stretch)
    strides = (*call.query.stride(), *call.key.stride(), *_strides(mask), *_strides(bias))
    constants = {
        "REPEATS": call.heads // groups,
        "SIZE": call.query.shape[3],
        "BLOCK_M": blocks.rows,
        "BLOCK_K": blocks.keys,
        "BLOCK_D": blocks.width,
        "PARTS": blocks.pieces,
        "MASK": 0 if mask is None else 1 if mask.dtype == torch.uint8 else 2,
        "BIAS": bias is not None,
        "REFUSED": refused is not None,
        "PADDING": padding is not None,
        "REQUEST": request is not None,
        "CHOSEN": chosen is not None,
        "SOFTCAP": call.softcap is not None,
        "DIAGONAL": call.diagonal is not None,
        "KERNEL_WINDOW": call.diagonal is not None and call.window is not None,
        "WINDOW": window is not None,
        "WIDEN": call.query.dtype != call.key.dtype or not call.query.is_cuda,
    }
    tiles = -(-sampled * (call.heads // groups) // blocks.rows)
    grid = (count * groups * tiles, blocks.stretches)
    return Launch(triton_kernels.sum_stretch, tensors, numbers, strides, constants, grid)


def _merge(call: KernelCall, sums: Tensor, found: Tensor) -> Launch:
    lines = sums.shape[2]
    sinks = _own(call.sinks) if call.sinks is not None else sums
    constants = {"SINKS": call.sinks is not None, "BLOCK": _LINES}
    numbers = (lines, call.heads, sums.shape[1])
    kernel, grid = triton_kernels.merge_stretches, (-(-lines // _LINES),)
    return Launch(kernel, (sums, sinks, found), numbers, (), constants, grid)


def _power(number: int) -> int:
    """The least power of two from 16 on that is not smaller."""
    return max(16, 1 << (number - 1).bit_length())


def _bytes(table: Tensor | None) -> Tensor | None:
    return table.view(torch.uint8) if table is not None and table.dtype == torch.bool else table


def _strides(table: Tensor | None) -> tuple[int, ...]:
    """Strides with which a table [B | 1, H | 1, Q | 1, K | 1] broadcasts."""
    if table is None:
        return (0, 0, 0, 0)
    return tuple(0 if size == 1 else step for size, step in zip(table.shape, table.stride(), strict=True))


def _aligned(tensor: Tensor) -> bool:
    return tensor.data_ptr() % _ALIGNED == 0


def _own(tensor: Tensor) -> Tensor:
    """Contiguous and aligned: the tensor itself, or a copy."""
    tensor = tensor.contiguous()
    return tensor if _aligned(tensor) else tensor.clone()
