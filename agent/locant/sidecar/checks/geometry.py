"""Window and causal corner of the attention, from the keys that sampled queries may see (F10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from locant.observation import RowFacts
from locant.sidecar.checks.hit import Hit, Pass, first, rows_text
from locant_slo.findings import FailureMode, Severity


@dataclass(frozen=True, slots=True)
class _Rule:
    check: str
    keys: Callable[[RowFacts], int]
    sentence: str
    cause: str


_EXCESS = _Rule(
    "window_excess",
    lambda row: row.window_excess,
    "see {keys} keys more than the configured window",
    "Usual cause: an inclusive window (w tokens back instead of w tokens) or a layer that lost its window.",
)
_DEFICIT = _Rule(
    "window_deficit",
    lambda row: row.window_deficit,
    "never see {keys} earlier keys inside their window",
    "Usual cause: a window one too small, a cache that evicts too early, or a causal mask aligned to the wrong corner.",
)
_FUTURE = _Rule(
    "future_visible",
    lambda row: row.future_visible,
    "see {keys} later tokens in a causal layer",
    "Usual cause: a causal mask aligned to the wrong corner when a cache is used, or is_causal lost.",
)
_ONE_WAY = _Rule(
    "future_hidden",
    lambda row: row.future_hidden,
    "never see {keys} later tokens in a layer that looks both ways",
    "Usual cause: a causal mask, is_decoder or is_causal in an encoder.",
)
_BLIND = _Rule(
    "self_blind",
    lambda row: row.self_blind,
    "cannot see themselves ({keys} queries)",
    "Usual cause: a mask shifted by one, or a cache written after it is read.",
)


def window_excess(seen: Pass) -> Iterator[Hit]:
    """Keys seen beyond the sliding window."""
    yield from _judge(_EXCESS, seen)


def window_deficit(seen: Pass) -> Iterator[Hit]:
    """Keys inside the window that nobody sees. Sparse masks of the caller's own making are left alone."""
    own_mask = seen.facts.mask_rank == 4 and seen.profile.window is None
    if not own_mask and not seen.facts.packed:
        yield from _judge(_DEFICIT, seen)


def future_visible(seen: Pass) -> Iterator[Hit]:
    """Later keys that a causal layer lets through."""
    yield from _judge(_FUTURE, seen)


def future_hidden(seen: Pass) -> Iterator[Hit]:
    """Later keys that an encoder keeps every query from. A mask of the caller's own making may mean that."""
    if seen.facts.mask_rank <= 2 and not seen.facts.packed:
        yield from _judge(_ONE_WAY, seen)


def self_blind(seen: Pass) -> Iterator[Hit]:
    """Queries that cannot see themselves."""
    if seen.profile.causal and seen.facts.phase != "encode":
        yield from _judge(_BLIND, seen)


def _judge(rule: _Rule, seen: Pass) -> Iterator[Hit]:
    found = {
        i: rule.keys(row)
        for i, row in enumerate(seen.rows)
        if rule.keys(row) > 0 and not (rule is _DEFICIT and _is_cut(row))
    }
    if not found:
        return
    keys = max(found.values())
    window = seen.profile.window
    yield Hit(
        rule.check,
        FailureMode.ATTENTION_GEOMETRY,
        Severity.PAGE,
        f"Sampled queries of {rows_text(found, len(seen.rows))} {rule.sentence.format(keys=keys)}"
        f"{f' of {window}' if window and 'window' in rule.sentence else ''}. Healthy is exactly 0. {rule.cause}",
        {
            "rows": first(found),
            "keys": keys,
            "window": window,
            "mask_rank": seen.facts.mask_rank,
            "phase": seen.facts.phase,
        },
        frozenset(found),
    )


def _is_cut(row: RowFacts) -> bool:
    """Packed rows and trees: keys of others are not seen on purpose."""
    return row.resets > 0 or row.repeats > 0 or row.jumps > 0
