"""Attention measured on padding or on another request, and pad keys left open at the attention itself (F3, F2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

from locant.observation import AttentionFacts
from locant.sidecar.checks.hit import Hit, Pass, first, rows_text
from locant.sidecar.checks.padding import bidirectional, open_runs
from locant_slo.findings import FailureMode, Severity

LEAST_MASS = 1e-3
"""Healthy is exactly 0 (masked scores vanish in the softmax); measured faults start at 9e-3."""


def pads_visible(seen: Pass) -> Iterator[Hit]:
    """The mask that reached the attention lets real queries see padding that the caller's mask hides."""
    trusted = trusted_padding(seen)
    found = {i: row.pads_visible for i, row in enumerate(seen.rows) if row.pads_visible > 0 and i in trusted}
    if not found:
        return
    yield Hit(
        "pads_attended",
        FailureMode.PADDING_LEAKAGE,
        Severity.PAGE,
        f"Real tokens of {rows_text(found, len(seen.rows))} may attend to up to {max(found.values())} padding keys. "
        f"Healthy is exactly 0. {_cause(seen.facts.masked)}",
        {"rows": first(found), "visible_pads": [found[i] for i in first(found)], "mask_rank": seen.facts.mask_rank},
        frozenset(found),
    )


def trusted_padding(seen: Pass) -> frozenset[int]:
    """Rows of which it is certain what padding is: by the caller's mask, or by runs that nothing else explains."""
    if seen.facts.masked:
        return frozenset(range(len(seen.rows)))
    runs = open_runs(seen)
    kept = {
        i
        for i, state in enumerate(seen.states)
        if state and (state.open_pads or state.masked_pads) and seen.rows[i].cache_tokens > 0
    }
    return frozenset(runs.left) | kept | (frozenset(runs.right) if bidirectional(seen) else frozenset())


def padding_mass(attention: Sequence[AttentionFacts], masked: bool) -> Iterator[Hit]:
    """Attention mass that real tokens put on padding, measured in sampled layers of one pass."""
    leaking = [facts for facts in attention if facts.padding_mass_largest > LEAST_MASS]  # a NaN leads no comparison
    if not leaking:
        return
    worst = max(leaking, key=lambda facts: facts.padding_mass_largest)
    layers = sorted({facts.layer for facts in leaking})
    yield Hit(
        "pads_attended",
        FailureMode.PADDING_LEAKAGE,
        Severity.PAGE,
        f"Real tokens put up to {worst.padding_mass_largest:.1%} of their attention on padding (layer "
        f"{worst.layer}, {len(layers)} of {len(attention)} sampled layers). Healthy is exactly 0. {_cause(masked)}",
        {
            "largest_mass": worst.padding_mass_largest,
            "layers": layers[:8],
            "sampled_rows": worst.rows,
            "pass": worst.pass_number,
        },
        all_rows=True,
    )


def crossing_mass(attention: Sequence[AttentionFacts], sure: bool) -> Iterator[Hit]:
    """Attention mass that tokens of one packed request put on another."""
    worst, mass = None, 0.0
    for facts in attention:
        largest = max(filter(isfinite, facts.cross_mass), default=0.0) / max(1, facts.rows)
        if largest > mass:
            worst, mass = facts, largest
    if worst is None or mass <= LEAST_MASS:
        return
    yield Hit(
        "packed_not_isolated",
        FailureMode.BATCH_MIXUP,
        Severity.PAGE if sure else Severity.INFO,
        f"Tokens of one packed request put {mass:.1%} of their attention on another (layer {worst.layer}, mean over "
        f"{worst.rows} sampled rows, worst head). Healthy is exactly 0. Usual cause: restarted positions without a "
        "mask that separates the requests.",
        {"mean_mass": mass, "layer": worst.layer, "sampled_rows": worst.rows, "pass": worst.pass_number},
        all_rows=True,
    )


def _cause(masked: bool) -> str:
    if masked:
        return "The caller's mask does not reach the attention: check the mask builder and the attention backend."
    return "No mask was given. Pass attention_mask from the tokenizer, for every call that uses this cache."
