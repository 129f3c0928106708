"""A token-level simulator of engines that serve transformers: what is cached, masked, numbered and seen.

It reduces each call to the facts that a probe would send, and keeps what every token can see of every other. Two runs
that differ in the latter would differ in their output: that is how a harmful fault is told from a harmless one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from locant.observation import (
    ABSENT,
    ForwardFacts,
    KeyFacts,
    ModelAttached,
    ModelProfile,
    Observation,
    RotaryFacts,
    RowFacts,
)

PAD, FIRST_WORD, WORDS = 0, 5, 5000
KEYS_REMEMBERED = 5


@dataclass(frozen=True, slots=True)
class Token:
    """One slot of a row. `uid` is the same in two runs of one scenario; pads belong to no request."""

    uid: tuple[object, ...]
    ident: int
    position: tuple[int, ...] = ()
    request: object = None

    @property
    def pad(self) -> bool:
        return self.request is None


@dataclass(slots=True)
class Cache:
    """Keys of one cache object, one list of slots per row; `written`: where the newest ones were at their call."""

    ident: int
    rows: list[list[Token]]
    parent: int = 0
    written: dict[tuple[object, ...], int] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        return len(self.rows[0]) if self.rows else 0

    def crop(self, tokens: int) -> None:
        self.rows = [row[:tokens] for row in self.rows]

    def evict(self, keep_first: int, keep_last: int) -> None:
        self.rows = [row[:keep_first] + row[max(keep_first, len(row) - keep_last) :] for row in self.rows]

    def turn(self, keep_first: int, shift: int) -> None:
        """Keys behind the first ones turned on by `shift` positions."""
        self.rows = [
            row[:keep_first] + [replace(t, position=tuple(p + shift for p in t.position)) for t in row[keep_first:]]
            for row in self.rows
        ]

    def remember(self) -> None:
        """The newest keys of each row, by what tells them apart."""
        newest = (token for row in self.rows for token in row[-KEYS_REMEMBERED:])
        self.written = {t.uid: t.position[0] for t in newest if not t.pad and t.position and len(set(t.position)) == 1}


@dataclass(slots=True)
class World:
    """One model under traffic. `seen` maps each real token to what it sees; `sent` are the observations."""

    profile: ModelProfile
    rng: random.Random
    sample_rate: float = 0.5
    drop_rate: float = 0.0
    sent: list[Observation] = field(default_factory=list)
    seen: dict[tuple[object, ...], frozenset[object]] = field(default_factory=dict)
    passes: int = 0
    caches: int = 0

    def __post_init__(self) -> None:
        self.sent.append(ModelAttached(1, 0.0, "simulated", "1", self.profile))

    def cache(self, batch: int, parent: Cache | None = None) -> Cache:
        self.caches += 1
        if parent is None:
            return Cache(self.caches, [[] for _ in range(batch)])
        rows = parent.rows if len(parent.rows) == batch else [parent.rows[0]] * batch
        return Cache(self.caches, [list(row) for row in rows], parent.ident, dict(parent.written))

    def call(
        self,
        rows: Sequence[Sequence[Token]],
        *,
        cache: Cache | None = None,
        mask: Sequence[Sequence[int]] | None = None,
        declared: Sequence[Sequence[int]] | None = None,
        ignore_mask: bool = False,
        isolated: bool | None = None,
        window_shift: int = 0,
        future: int = 0,
        blind: bool = False,
        rotary: RotaryFacts | None = None,
        request_ids: tuple[str, ...] = (),
    ) -> None:
        """One forward pass. `mask` covers the cached tokens and these; `isolated=None` does as transformers does."""
        self.passes += 1
        before = [list(row) for row in cache.rows] if cache is not None else [[] for _ in rows]
        cached = len(before[0])
        queries = len(rows[0])
        masked = mask is not None
        sampled = self.rng.random() < self.sample_rate
        facts = []
        for i, row in enumerate(rows):
            keys = [*before[i], *row]
            keep = list(mask[i]) if mask is not None else None
            starts = resets_of(row, self.profile)
            apart = isolated if isolated is not None else (not masked and cached == 0 and bool(starts))
            view = View(self.profile, keys, cached, keep, apart, ignore_mask, window_shift, future, blind)
            for j in range(queries):
                if not row[j].pad:
                    self.seen[row[j].uid] = view.signature(cached + j)
            bounds = declared[i] if declared is not None else None
            facts.append(reduce_row(self.profile, row, cached, keep, view if sampled else None, bounds))
        phase = "encode" if not self.profile.causal else ("decode" if queries == 1 and cached else "prefill")
        if self.rng.random() >= self.drop_rate:
            self.sent.append(
                ForwardFacts(
                    model_id=1,
                    time=float(self.passes),
                    pass_number=self.passes,
                    phase=phase,
                    duration_seconds=0.01,
                    queries=queries,
                    rows=tuple(facts),
                    cache_id=cache.ident if cache is not None else 0,
                    cache_parent=cache.parent if cache is not None else 0,
                    masked=masked,
                    mask_rank=2
                    if masked
                    else (4 if isolated and not any(resets_of(row, self.profile) for row in rows) else 0),
                    declared=declared is not None,
                    rotary=rotary,
                    keys=key_facts(self.profile, cache, mask, [f.first_position for f in facts]) if cached else None,
                    request_ids=request_ids,
                    highest_planned_position=cached + queries - 1 + self.profile.base,
                    seen=("positions", "mask", "cache"),
                )
            )
        if cache is not None:
            cache.rows = [old + list(new) for old, new in zip(before, rows, strict=True)]
            cache.remember()


@dataclass(slots=True)
class View:
    """Who sees whom in one row of one call."""

    profile: ModelProfile
    keys: list[Token]
    cached: int
    keep: list[int] | None
    apart: bool
    ignore_mask: bool
    window_shift: int
    future: int
    blind: bool

    def allowed(self, q: int, k: int) -> bool:
        """Whether query slot q may attend to key slot k."""
        if self.blind and q == k and q > 0:
            return False
        if self.profile.causal and k > q + self.future:
            return False
        if self.profile.window is not None and q - k >= self.profile.window + self.window_shift:
            return False
        if self.keep is not None and not self.ignore_mask and not self.keep[k]:
            return False
        return not (self.apart and self.keys[q].request != self.keys[k].request)

    def signature(self, q: int) -> frozenset[object]:
        """What a token makes of the others: which it sees, and how far away (or where, in absolute families)."""
        scheme, own = self.profile.scheme, self.keys[q]
        found = set()
        for k, key in enumerate(self.keys):
            if not self.allowed(q, k):
                continue
            if scheme in ("alibi", "relative_bias"):
                found.add((key.uid, self._text_distance(k, q)))
            elif self.profile.absolute:
                found.add((key.uid, own.position, key.position))
            else:
                found.add((key.uid, tuple(a - b for a, b in zip(own.position, key.position, strict=True))))
        return frozenset(found)

    def _text_distance(self, k: int, q: int) -> int:
        if self.keep is None:
            return q - k
        return sum(self.keep[k:q])


def key_facts(
    profile: ModelProfile, cache: Cache | None, mask: Sequence[Sequence[int]] | None, starts: Sequence[int]
) -> KeyFacts | None:
    """Where each row's newest cached key stands and was written, as far as it is remembered and shown."""
    if cache is None or profile.scheme not in ("rope", "mrope"):
        return None
    shown = [row[cache.tokens - 1] for row in mask] if mask is not None else [1] * len(cache.rows)
    newest = [row[-1] if keep and in_order(row, cache) else None for keep, row in zip(shown, cache.rows, strict=True)]
    positions = tuple(ABSENT if token is None else token.position[0] for token in newest)
    written = tuple(ABSENT if token is None else cache.written[token.uid] for token in newest)
    told = zip(positions, written, starts, strict=True)
    return None if all(p == ABSENT or p == w == start - 1 for p, w, start in told) else KeyFacts(positions, written)


def in_order(row: Sequence[Token], cache: Cache) -> bool:
    """Whether the last slot holds a key that is remembered, and none that is newer lies elsewhere in the row."""
    places = [cache.written[token.uid] for token in row if token.uid in cache.written]
    return row[-1].uid in cache.written and cache.written[row[-1].uid] == max(places)


def resets_of(row: Sequence[Token], profile: ModelProfile) -> list[int]:
    """Columns where the position falls back to the row's first one or to the base."""
    real = [j for j, token in enumerate(row) if not token.pad and token.position]
    if not real:
        return []
    first = row[real[0]].position[0]
    return [
        b
        for a, b in pairwise(real)
        if b == a + 1 and row[b].position[0] < row[a].position[0] and row[b].position[0] in (first, profile.base)
    ]


def reduce_row(
    profile: ModelProfile,
    row: Sequence[Token],
    cached: int,
    keep: list[int] | None,
    view: View | None,
    declared: Sequence[int] | None,
) -> RowFacts:
    """The facts of one row, from first principles."""
    queries = len(row)
    run_left, run_right = pad_runs(row)
    if keep is not None:
        real = [bool(keep[cached + j]) for j in range(queries)]
        before = sum(keep[:cached])
    else:
        real = [run_left <= j < queries - run_right for j in range(queries)]
        before = cached
    kept = [j for j in range(queries) if real[j]]
    only_pads = run_left == queries
    open_left = 0 if only_pads else sum(1 for j in range(run_left) if keep is None or keep[cached + j])
    open_right = (
        0 if only_pads else sum(1 for j in range(queries - run_right, queries) if keep is None or keep[cached + j])
    )
    if queries == 1:
        open_left = open_right = 0
    left = kept[0] if kept else queries
    right = queries - 1 - kept[-1] if kept else 0
    facts = dict.fromkeys(RowFacts._fields, ABSENT)
    facts |= {
        "real": len(kept),
        "left_pads": left,
        "right_pads": right,
        "mask_holes": queries - left - right - len(kept),
        "unmasked_left_pads": open_left,
        "unmasked_right_pads": open_right,
        "real_before": before,
        "cache_tokens": cached,
        "first_token_hash": hash(tuple(row[j].ident for j in kept)) & 0x7FFFFFFF,
    }
    if kept and row[kept[0]].position:
        facts |= numbering(profile, row, kept, before)
    if declared is not None and kept and row[kept[0]].position:
        starts = {sum(declared[: i + 1]) for i in range(len(declared) - 1)}
        facts["boundary_misses"] = sum(
            row[j].position[0] != row[kept[0]].position[0] for n, j in enumerate(kept) if n in starts
        )
    if view is not None:
        facts |= visibility(profile, row, cached, real, keep, view, declared, bool(facts["resets"] > 0))
    return RowFacts(**facts)


def pad_runs(row: Sequence[Token]) -> tuple[int, int]:
    """Runs of the pad id at both ends; a row of pads only has one run."""
    left = next((j for j, token in enumerate(row) if token.ident != PAD), len(row))
    if left == len(row):
        return left, 0
    return left, next(j for j, token in enumerate(reversed(row)) if token.ident != PAD)


def numbering(profile: ModelProfile, row: Sequence[Token], kept: list[int], before: int) -> dict[str, int]:
    """First position to repeats."""
    first, last = row[kept[0]].position[0], row[kept[-1]].position[0]
    every = [axis for j in kept for axis in row[j].position]
    steps = [(row[b].position[0] - row[a].position[0], row[b].position[0]) for a, b in pairwise(kept) if b == a + 1]
    resets = sum(step < 0 and landed in (first, profile.base) for step, landed in steps)
    return {
        "first_position": first,
        "last_position": last,
        "min_position": min(every),
        "max_position": max(every),
        "first_offset": first - before,
        "last_offset": last - before - len(kept) + 1,
        "jumps": sum(step != 1 for step, _ in steps) - resets,
        "resets": resets,
        "repeats": sum(step == 0 for step, _ in steps),
    }


def visibility(
    profile: ModelProfile,
    row: Sequence[Token],
    cached: int,
    real: list[bool],
    keep: list[int] | None,
    view: View,
    declared: Sequence[int] | None,
    packed: bool,
) -> dict[str, int]:
    """What sampled queries may see that they should not, and the reverse."""
    queries = [cached + j for j in range(len(row)) if real[j]]
    keys = range(len(view.keys))
    run = pad_runs(row)
    is_pad = [
        not keep[k] if keep is not None else (k >= cached and not real[k - cached] and max(run) > 0) for k in keys
    ]
    judge_cross = declared is not None or (packed and profile.scheme != "mrope")
    found = dict.fromkeys(
        ("window_excess", "window_deficit", "future_visible", "self_blind", "pads_visible", "cross_visible"), 0
    )
    for q in queries:
        sees = {k for k in keys if view.allowed(q, k)}
        if profile.causal:
            found["future_visible"] = max(found["future_visible"], sum(k > q for k in sees))
        if profile.window is not None:
            found["window_excess"] = max(found["window_excess"], sum(q - k >= profile.window for k in sees))
        span = profile.window or len(view.keys)
        missed = [
            k
            for k in keys
            if not is_pad[k]
            and k not in sees
            and q - k < span
            and (k <= q or not profile.causal)
            and not (judge_cross and view.keys[k].request != view.keys[q].request)
        ]
        found["window_deficit"] = max(found["window_deficit"], len([k for k in missed if k != q]))
        found["self_blind"] += q not in sees
        found["pads_visible"] = max(found["pads_visible"], sum(is_pad[k] for k in sees))
        found["cross_visible"] = max(
            found["cross_visible"],
            sum(view.keys[k].request != view.keys[q].request and not view.keys[k].pad for k in sees),
        )
    if not judge_cross:
        found["cross_visible"] = ABSENT
    if profile.window is None:
        found["window_excess"] = ABSENT
    if not any(is_pad):
        found["pads_visible"] = 0 if keep is not None else ABSENT
    return found
