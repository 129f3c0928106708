"""The two Triton kernels: sums over one stretch of the keys for a tile of sampled rows, and the merge of the stretches.

Rows of all query heads that share a key head form one tile, so that keys are read once for all of them. Every sum is
relative to the largest score of its stretch and merges as in the online softmax; stretches are merged in their order
and nothing is added atomically, so that the same input gives the same bits. `tests/probe/attention` runs this source
on the CPU under `TRITON_INTERPRET=1`. Imported only where Triton is.
"""

from __future__ import annotations

import triton
import triton.language as tl

SUMS = 13
"""Of a stretch: largest score, total weight, weight times score, visible keys, and the nine of `contract.LINEAR`."""

_CHANGING = ("diagonal", "kernel_window", "window", "sampled", "keys", "groups", "stretch")
_CHANGING_SIZES = ("lines", "heads", "stretches")
"""Integers that change from pass to pass: the compiler must not make a kernel for each kind of value."""

_LOWEST = tl.constexpr(-1.0e4)
_LOG2_E = tl.constexpr(1.4426950408889634)
_UNSEEN = tl.constexpr(-3.0e4)
_RECENT = tl.constexpr(16)
_NEVER = tl.constexpr(float("-inf"))


@triton.jit(do_not_specialize=_CHANGING)
def sum_stretch(
    query, key, mask, bias, refused, padding, request, sequences, columns, own, mine, first, sums,
    scale, softcap, diagonal, kernel_window, window, sampled, keys, groups, stretch,
    q_b, q_h, q_q, q_d, k_b, k_g, k_k, k_d, m_b, m_h, m_q, m_k, b_b, b_h, b_q, b_k,
    REPEATS: tl.constexpr, SIZE: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
    PARTS: tl.constexpr, MASK: tl.constexpr, BIAS: tl.constexpr, REFUSED: tl.constexpr, PADDING: tl.constexpr,
    REQUEST: tl.constexpr, CHOSEN: tl.constexpr, SOFTCAP: tl.constexpr, DIAGONAL: tl.constexpr,
    KERNEL_WINDOW: tl.constexpr, WINDOW: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """Grid (N * groups * tiles, stretches). `sums` float32 [SUMS, stretches, N, R, H].

    MASK: 0 none, 1 bytes that keep, 2 numbers that are added. WIDEN: multiply float32 copies of queries and keys.
    """
    tiles = tl.cdiv(sampled * REPEATS, BLOCK_M)
    group = (tl.program_id(0) // tiles) % groups
    n = tl.program_id(0) // (tiles * groups)
    line = tl.program_id(0) % tiles * BLOCK_M + tl.arange(0, BLOCK_M)
    alive = line < sampled * REPEATS
    row = n * sampled + line // REPEATS
    head = group * REPEATS + line % REPEATS
    column = tl.load(columns + row, mask=alive, other=0)
    place = tl.load(own + row, mask=alive, other=0).to(tl.int32)
    begins = tl.load(first + row, mask=alive, other=-1).to(tl.int32)
    owner = tl.load(mine + row, mask=alive, other=-1) if REQUEST else line
    sequence = tl.load(sequences + n) if CHOSEN else n.to(tl.int64)
    q_line = query + sequence * q_b + head.to(tl.int64) * q_h + column * q_q
    k_line = key + sequence * k_b + group.to(tl.int64) * k_g
    m_line = mask + sequence * m_b + head.to(tl.int64) * m_h + column * m_q
    b_line = bias + sequence * b_b + head.to(tl.int64) * b_h + column * b_q
    r_line = refused + row.to(tl.int64) * keys
    n_line = n.to(tl.int64) * keys
    depth = tl.arange(0, BLOCK_D)
    q_tile = tl.load(q_line[:, None] + (depth * q_d)[None, :], mask=alive[:, None] & (depth < SIZE)[None, :], other=0)

    largest = tl.full([BLOCK_M], _NEVER, tl.float32)
    zero = tl.zeros([BLOCK_M], tl.float32)
    total, shifted, seen, pads, others, later = zero, zero, zero, zero, zero, zero
    far, self, opening, recent, distance, log_distance = zero, zero, zero, zero, zero, zero
    end = tl.minimum((tl.program_id(1) + 1) * stretch, keys)
    for start in range(tl.program_id(1) * stretch, end, BLOCK_K):
        at = start + tl.arange(0, BLOCK_K)
        wide = at.to(tl.int64)
        valid = at < end
        inside = alive[:, None] & valid[None, :]
        score = tl.zeros([BLOCK_M, BLOCK_K], tl.float32)
        for part in tl.static_range(PARTS):
            deep = part * BLOCK_D + depth
            k_place = (k_line + wide * k_k)[None, :] + (deep * k_d)[:, None]
            k_tile = tl.load(k_place, mask=valid[None, :] & (deep < SIZE)[:, None], other=0)
            q_part = q_tile
            if part > 0:
                q_place = q_line[:, None] + (deep * q_d)[None, :]
                q_part = tl.load(q_place, mask=alive[:, None] & (deep < SIZE)[None, :], other=0)
            if WIDEN:
                score = tl.dot(q_part.to(tl.float32), k_tile.to(tl.float32), acc=score, input_precision="ieee")
            else:
                score = tl.dot(q_part, k_tile, acc=score, input_precision="ieee")
        score = score * scale
        if SOFTCAP:
            score = softcap - 2.0 * softcap / (tl.exp2(score * (2.0 * _LOG2_E / softcap)) + 1.0)
        if BIAS:
            score += tl.load(b_line[:, None] + (wide * b_k)[None, :], mask=inside, other=0.0).to(tl.float32)
        if MASK == 1:
            kept = tl.load(m_line[:, None] + (wide * m_k)[None, :], mask=inside, other=0)
            score = tl.where(kept != 0, score, _NEVER)
        if MASK == 2:
            score += tl.load(m_line[:, None] + (wide * m_k)[None, :], mask=inside, other=0.0).to(tl.float32)
        if REFUSED:
            barred = tl.load(r_line[:, None] + at[None, :], mask=inside, other=1)
            score = tl.where(barred == 0, score, _NEVER)
        if DIAGONAL:
            ahead = at[None, :] - (column.to(tl.int32) + diagonal)[:, None]
            score = tl.where(ahead <= 0, score, _NEVER)
            if KERNEL_WINDOW:
                score = tl.where(ahead > -kernel_window, score, _NEVER)
        score = tl.where(inside, score, _NEVER)

        higher = tl.maximum(largest, tl.max(score, 1))
        base = tl.where(higher == _NEVER, 0.0, higher)
        moved = tl.maximum(largest - base, _LOWEST)
        shrink = tl.exp2(moved * _LOG2_E)
        below = tl.maximum(score - base[:, None], _LOWEST)
        weight = tl.exp2(below * _LOG2_E)
        largest = higher
        shifted = (shifted + total * moved) * shrink + tl.sum(weight * below, 1)
        total = total * shrink + tl.sum(weight, 1)
        seen += tl.sum((score > _UNSEEN).to(tl.float32), 1)

        back = place[:, None] - at[None, :]
        away = tl.abs(back).to(tl.float32)
        later = later * shrink + tl.sum(tl.where(back < 0, weight, 0.0), 1)
        self = self * shrink + tl.sum(tl.where(back == 0, weight, 0.0), 1)
        recent = recent * shrink + tl.sum(tl.where((back >= 0) & (back < _RECENT), weight, 0.0), 1)
        opening = opening * shrink + tl.sum(tl.where(at[None, :] == begins[:, None], weight, 0.0), 1)
        distance = distance * shrink + tl.sum(weight * away, 1)
        log_distance = log_distance * shrink + tl.sum(weight * tl.log(away + 1.0), 1)
        if WINDOW:
            far = far * shrink + tl.sum(tl.where(back >= window, weight, 0.0), 1)
        if PADDING:
            pad = tl.load(padding + n_line + at, mask=valid, other=0)
            pads = pads * shrink + tl.sum(tl.where((pad != 0)[None, :], weight, 0.0), 1)
        if REQUEST:
            whose = tl.load(request + n_line + at, mask=valid, other=-1)[None, :]
            foreign = (owner[:, None] >= 0) & (whose >= 0) & (whose != owner[:, None])
            others = others * shrink + tl.sum(tl.where(foreign, weight, 0.0), 1)

    lines = tl.num_programs(0) // (tiles * groups) * sampled * groups * REPEATS
    plane = tl.num_programs(1).to(tl.int64) * lines
    target = sums + tl.program_id(1).to(tl.int64) * lines + row * groups * REPEATS + head
    masses = (pads, others, later, far, self, opening, recent, distance, log_distance)
    tl.store(target, largest, mask=alive)
    tl.store(target + plane, total, mask=alive)
    tl.store(target + 2 * plane, shifted, mask=alive)
    tl.store(target + 3 * plane, seen, mask=alive)
    for name in tl.static_range(9):
        tl.store(target + (4 + name) * plane, masses[name], mask=alive)


@triton.jit(do_not_specialize=_CHANGING_SIZES)
def merge_stretches(
    sums, sinks, statistics, lines, heads, stretches,
    SINKS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """From `sums` [SUMS, stretches, lines] to `statistics` [13, lines], in the order of `contract.STATISTICS`."""
    line = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    alive = line < lines
    plane = lines.to(tl.int64) * stretches
    largest = tl.full([BLOCK], _NEVER, tl.float32)
    for part in range(stretches):
        largest = tl.maximum(largest, tl.load(sums + part * lines + line, mask=alive, other=_NEVER))
    base = tl.where(largest == _NEVER, 0.0, largest)
    zero = tl.zeros([BLOCK], tl.float32)
    total, shifted, seen = zero, zero, zero
    for part in range(stretches):
        source = sums + part * lines + line
        moved = tl.maximum(tl.load(source, mask=alive, other=_NEVER) - base, _LOWEST)
        shrink = tl.exp2(moved * _LOG2_E)
        weight = tl.load(source + plane, mask=alive, other=0.0)
        total += weight * shrink
        shifted += (tl.load(source + 2 * plane, mask=alive, other=0.0) + weight * moved) * shrink
        seen += tl.load(source + 3 * plane, mask=alive, other=0.0)

    highest, whole = largest, total
    if SINKS:
        sink = tl.load(sinks + line % heads, mask=alive, other=0.0).to(tl.float32)
        highest = tl.maximum(largest, sink)
    top = tl.where(highest == _NEVER, 0.0, highest)
    if SINKS:
        beside = tl.exp2(tl.maximum(sink - top, _LOWEST) * _LOG2_E)
        whole = total * tl.exp2(tl.maximum(base - top, _LOWEST) * _LOG2_E) + beside
    safe = tl.where(whole > 0, whole, 1.0)
    share = tl.where(total > 0, tl.exp2(tl.maximum(base - top, _LOWEST) * _LOG2_E) / safe, 0.0)
    lifted = tl.where(total > 0, tl.minimum(top - base, -_LOWEST), 0.0)
    sees = total > 0  # False for NaN too, which a model that overflows hands on: such a row counts as blind
    entropy = tl.where(sees, (total * (tl.log(safe) + lifted) - shifted) * share, 0.0)
    relative = tl.where(seen > 1, entropy / tl.log(tl.maximum(seen, 2.0)), 0.0)
    log_sum = tl.where(highest == _NEVER, _NEVER, top + tl.log(safe))
    for name in range(9):
        found = zero
        for part in range(stretches):
            source = sums + part * lines + line
            moved = tl.maximum(tl.load(source, mask=alive, other=_NEVER) - base, _LOWEST)
            found += tl.load(source + (4 + name) * plane, mask=alive, other=0.0) * tl.exp2(moved * _LOG2_E)
        tl.store(statistics + name * lines + line, tl.where(sees, found * share, 0.0), mask=alive)
    target = statistics + 9 * lines + line
    tl.store(target, entropy, mask=alive)
    tl.store(target + lines, relative, mask=alive)
    tl.store(target + 2 * lines, share, mask=alive)
    tl.store(target + 3 * lines, log_sum, mask=alive)
