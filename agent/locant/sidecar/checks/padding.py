"""Padding that no mask covers, that is attended to, or that the mask has upside down (F3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from locant.observation import RowFacts
from locant.sidecar.checks.hit import Hit, Pass, first, rows_text
from locant.sidecar.ledger import RowState
from locant.sidecar.ledger.moves import cache_change, neutral
from locant_slo.findings import FailureMode, Severity

_CLEAR_RUN = 3
"""Pad ids more at a row's end than at the end of the batch's fullest row. Text that uses the pad id as its begin or end
token explains one or two of them (documents that end and begin anew), not three."""
_CLEAR_RUN_ENCODER = 2
_CLEAR_RUN_ALONE = 8


@dataclass(frozen=True, slots=True)
class Runs:
    """Unmasked pad-id runs that can only be padding, per row: at the start and at the end."""

    left: dict[int, int]
    right: dict[int, int]


def bidirectional(seen: Pass) -> bool:
    """Whether tokens see what comes after them in this pass."""
    return seen.facts.phase == "encode" or not seen.profile.causal


def open_runs(seen: Pass) -> Runs:
    """Which unmasked runs of the pad id are padding for certain, judged by the batch and by the positions."""
    rows = {i: row for i, row in enumerate(seen.rows) if row.real > 0 and not _only_pads(row, seen)}
    if seen.facts.packed or seen.facts.queries < 2:
        rows = {}
    return Runs(
        _clear({i: row.unmasked_left_pads for i, row in rows.items()}, seen)
        | {i: row.unmasked_left_pads for i, row in rows.items() if _positions_skip_them(row, seen)},
        _clear({i: row.unmasked_right_pads for i, row in rows.items()}, seen),
    )


def _only_pads(row: RowFacts, seen: Pass) -> bool:
    """A dummy or a finished row under a mask of ones: it holds nothing else, so nothing leaks."""
    return seen.facts.masked and max(row.unmasked_left_pads, row.unmasked_right_pads) >= row.real


def _clear(runs: dict[int, int], seen: Pass) -> dict[int, int]:
    runs = {i: max(run, 0) for i, run in runs.items()}
    if not runs:
        return {}
    spare = min(runs.values()) if len(runs) > 1 else 0
    limit = _CLEAR_RUN_ALONE if len(runs) == 1 else (_CLEAR_RUN_ENCODER if bidirectional(seen) else _CLEAR_RUN)
    found = {i: run - spare for i, run in runs.items() if run > spare}
    return found if found and max(found.values()) >= limit else {}


def _positions_skip_them(row: RowFacts, seen: Pass) -> bool:
    """The caller's own positions start after the run: it knows that this is padding, the mask does not."""
    fresh = row.cache_tokens <= 0 and row.resets == 0
    return (
        fresh and not seen.facts.masked and row.unmasked_left_pads >= 2 and row.first_position == neutral(seen.profile)
    )


def pads_unmasked(seen: Pass) -> Iterator[Hit]:
    """Padding inside the attention of real tokens because no mask covers it."""
    if seen.facts.mask_rank == 4:
        return
    runs = open_runs(seen)
    found = dict(runs.left) | (runs.right if bidirectional(seen) else {})
    found = {i: run for i, run in found.items() if seen.facts.masked or seen.rows[i].pads_visible != 0}
    found |= {i: state.open_pads for i, state in enumerate(seen.states) if state and _reused(seen.rows[i], state, seen)}
    if not found:
        return
    given = "covers none of it" if seen.facts.masked else "is missing"
    yield Hit(
        "pads_unmasked",
        FailureMode.PADDING_LEAKAGE,
        Severity.PAGE,
        f"Up to {max(found.values())} padding tokens are open to attention in {rows_text(found, len(seen.rows))}: "
        f"the attention mask {given}. The shorter a row, the worse its output; the longest row never shows it. "
        "Usual cause: the mask is dropped between the tokenizer and the model. Pass attention_mask from the "
        "tokenizer, for every call that uses this cache.",
        {
            "rows": first(found),
            "pads": [found[i] for i in first(found)],
            "mask_given": seen.facts.masked,
            "phase": seen.facts.phase,
        },
        frozenset(found),
    )


def _reused(row: RowFacts, state: RowState, seen: Pass) -> bool:
    """Right padding is harmless in a causal prefill, until later tokens find it in the cache."""
    return state.open_pads > 0 and not seen.facts.masked and row.real > 0 and cache_change(row, state) == 0


def open_right_pads(seen: Pass) -> list[int]:
    """Per row: unmasked right padding that now lies in the cache."""
    right = open_runs(seen).right if not seen.facts.masked and seen.facts.mask_rank == 0 else {}
    kept = [
        state.open_pads if state and row.cache_tokens > 0 else 0
        for row, state in zip(seen.rows, seen.states, strict=True)
    ]
    return [max(kept[i], right.get(i, 0)) for i in range(len(seen.rows))]


def mask_dropped(seen: Pass) -> Iterator[Hit]:
    """The cache holds padding that an earlier call masked, and this call's mask is gone or counts it as text."""
    if seen.facts.mask_rank == 4 or seen.facts.packed:
        return
    found = {
        i: state.masked_pads for i, state in enumerate(seen.states) if state and uncovered(seen.rows[i], state, seen)
    }
    if not found:
        return
    yield Hit(
        "mask_dropped",
        FailureMode.PADDING_LEAKAGE,
        Severity.PAGE,
        f"The cache of {rows_text(found, len(seen.rows))} holds up to {max(found.values())} padding tokens that "
        f"earlier calls masked, and this call {'masks them no more' if seen.facts.masked else 'has no mask'}: new "
        "tokens attend to them. Usual cause: the mask is only passed with the prompt. Extend it by one per new "
        "token and pass it at every step.",
        {"rows": first(found), "pads_in_cache": [found[i] for i in first(found)], "mask_given": seen.facts.masked},
        frozenset(found),
    )


def uncovered(row: RowFacts, state: RowState, seen: Pass) -> bool:
    """Whether padding that earlier calls masked is open to this one, and counted as text."""
    pads = state.masked_pads
    if pads <= 0 or row.real <= 0 or row.cache_tokens != state.tokens:
        return False
    if seen.profile.window is not None and state.real >= seen.profile.window:
        return False  # the padding has left the window
    return not seen.facts.masked or row.real_before == state.real + pads


def mask_inverted(seen: Pass) -> Iterator[Hit]:
    """The mask keeps the padding and hides the text."""
    found = {i: row for i, row in enumerate(seen.rows) if _keeps_only_pads(row)} if seen.facts.masked else {}
    if not found:
        return
    row = next(iter(found.values()))
    yield Hit(
        "mask_inverted",
        FailureMode.PADDING_LEAKAGE,
        Severity.PAGE,
        f"The mask of {rows_text(found, len(seen.rows))} keeps {row.real} padding tokens and hides the "
        f"{row.left_pads + row.right_pads} others: it is upside down. Usual cause: key_padding_mask (True hides) "
        "passed where attention_mask (1 keeps) belongs. Invert it.",
        {"rows": first(found), "kept": row.real, "hidden": row.left_pads + row.right_pads},
        frozenset(found),
    )


def _keeps_only_pads(row: RowFacts) -> bool:
    """Two or more, and hides all else: the row has text, for one of nothing but the pad id has no runs."""
    hidden = row.left_pads + row.right_pads
    return row.real >= 2 and hidden > 0 and row.real == max(row.unmasked_left_pads, row.unmasked_right_pads)


def mask_holes(seen: Pass) -> Iterator[Hit]:
    """Masked tokens between real ones: legal, but rarely meant."""
    found = {i: row.mask_holes for i, row in enumerate(seen.rows) if row.mask_holes > 0}
    if found:
        yield Hit(
            "mask_holes",
            FailureMode.PADDING_LEAKAGE,
            Severity.INFO,
            f"The mask of {rows_text(found, len(seen.rows))} hides up to {max(found.values())} tokens between real "
            "ones. This is legal; check that it is meant, because padding in the middle usually comes from joining "
            "padded parts.",
            {"rows": first(found), "holes": [found[i] for i in first(found)]},
            frozenset(found),
        )
