"""Rows of one batch that got each other's positions, one position for all, or another row's padding (F2)."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import RowFacts
from locant.sidecar.checks.hit import Hit, Pass, first, known
from locant.sidecar.checks.keys import are_exchanged, out_of_step
from locant.sidecar.checks.offsets import moved
from locant.sidecar.ledger import Move
from locant.sidecar.ledger.moves import neutral
from locant_slo.findings import FailureMode, Severity


def rows_mixed_up(seen: Pass) -> Iterator[Hit]:
    """Rows of one batch got one shared position, or each other's."""
    yield from _mixed_while_running(seen)
    yield from _behind_each_others_keys(seen)
    rows = _fresh_masked_rows(seen)
    for pattern in (_swapped_padding, _one_padding_for_all, _padding_of_the_other_side):
        hits = list(pattern(seen, rows))
        yield from hits
        if hits:
            return


def _mixed_while_running(seen: Pass) -> Iterator[Hit]:
    changed = moved(seen)
    live = [
        (row, state)
        for row, state, move in zip(seen.rows, seen.states, seen.moves, strict=True)
        if state is not None and state.offset is not None and move in (Move.SAME, Move.MOVED)
    ]
    if not changed or len(live) < 2:
        return
    found = [row.first_position for row, _ in live]
    expected = [row.real_before + (state.offset or 0) for row, state in live]
    shared = len(set(found)) == 1 and len(set(expected)) > 1
    if shared or sorted(found) == sorted(expected):
        how = "share one position" if shared else "have each other's positions"
        yield _mixed(seen, frozenset(changed), f"{how}: {found[:4]} where {expected[:4]} belong", found, expected)


def _behind_each_others_keys(seen: Pass) -> Iterator[Hit]:
    """Rows of the cache were chosen or reordered, and masks and positions were not, or the other way round."""
    steps = out_of_step(seen)
    if are_exchanged(steps, seen):
        found, expected = [step.start for step in steps.values()], [step.written + 1 for step in steps.values()]
        how = f"stand behind each other's cached keys: at {found[:4]} where {expected[:4]} follows from the keys"
        yield _mixed(seen, frozenset(steps), how, found, expected)


def _fresh_masked_rows(seen: Pass) -> dict[int, RowFacts]:
    """The rows of a batch that begins, is masked and is numbered on one axis; {} for any other pass."""
    rows = {i: row for i, row in enumerate(seen.rows) if row.real > 0 and known(row.first_offset, row.last_offset)}
    fresh = all(row.cache_tokens <= 0 and row.resets == 0 and row.mask_holes == 0 for row in rows.values())
    plain = seen.facts.masked and not seen.facts.packed and seen.profile.scheme != "mrope"
    return rows if fresh and plain else {}


def _assumed_padding(row: RowFacts, seen: Pass) -> int:
    """The left padding that a row's numbering takes off: counted by column, less this, it ends where it does."""
    return row.left_pads - row.last_offset + neutral(seen.profile)


def _swapped_padding(seen: Pass, rows: dict[int, RowFacts]) -> Iterator[Hit]:
    """A left-padded batch whose rows are numbered as if each had another row's padding."""
    pads = [row.left_pads for row in rows.values()]
    assumed = [_assumed_padding(row, seen) for row in rows.values()]
    shifts = {a - p for a, p in zip(sorted(assumed), sorted(pads), strict=True)}
    if len(rows) < 2 or len(shifts) != 1:
        return
    shift = shifts.pop()
    assumed = [pad - shift for pad in assumed]
    if assumed != pads:
        wrong = frozenset(i for i, a, p in zip(rows, assumed, pads, strict=True) if a != p)
        how = f"are numbered for each other's padding: {assumed[:4]} where {pads[:4]} is"
        yield _mixed(seen, wrong, how, assumed, pads)


def _one_padding_for_all(seen: Pass, rows: dict[int, RowFacts]) -> Iterator[Hit]:
    """A left-padded batch that is numbered by one of its rows: shorter padding leaves first tokens at one position."""
    pads = [row.left_pads for row in rows.values()]
    assumed = {_assumed_padding(row, seen) for row in rows.values()}
    if len(assumed) != 1 or not assumed <= set(pads):
        return
    padding = assumed.pop()
    wrong = {i: row for i, row in rows.items() if row.left_pads < padding}
    if wrong and all(_stands_still(row, padding - row.left_pads) for row in wrong.values()):
        how = f"are numbered for one row's padding, {padding}, where {pads[:4]} is"
        yield _mixed(seen, frozenset(wrong), how, [padding] * len(pads), pads)


def _padding_of_the_other_side(seen: Pass, rows: dict[int, RowFacts]) -> Iterator[Hit]:
    """A right-padded batch that is numbered as if its padding stood on the left."""
    wrong = {i: row for i, row in rows.items() if row.right_pads > 0}
    if any(row.left_pads > 0 for row in rows.values()) or not wrong:
        return
    if all(_stands_still(row, min(row.right_pads, row.real - 1)) for row in wrong.values()):
        pads = [row.right_pads for row in rows.values()]
        how = f"are numbered for padding on the left, {pads[:4]}, that stands on the right"
        yield _mixed(seen, frozenset(wrong), how, pads, [0] * len(pads))


def _stands_still(row: RowFacts, tokens: int) -> bool:
    """The row's numbering falls behind by that many tokens, and only by repeating positions."""
    return tokens > 0 and row.repeats == row.jumps == -row.last_offset + row.first_offset == tokens


def _mixed(seen: Pass, rows: frozenset[int], how: str, found: list[int], expected: list[int]) -> Hit:
    return Hit(
        "rows_mixed_up",
        FailureMode.BATCH_MIXUP,
        Severity.PAGE,
        f"Rows of one batch of {len(seen.rows)} {how}. This is exact. Usual cause: one position counter for a batch "
        "whose rows differ in length, or rows reordered without their positions. Compute positions per row, from "
        "the mask.",
        {"rows": first(rows), "found": found[:8], "expected": expected[:8], "phase": seen.facts.phase},
        rows,
    )
