"""Several requests in one row: positions must start again, and attention must not cross (F2)."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import RowFacts
from locant.sidecar.checks.hit import Hit, Pass, first, rows_text
from locant.sidecar.ledger.moves import neutral
from locant_slo.findings import FailureMode, Severity


def packed_not_reset(seen: Pass) -> Iterator[Hit]:
    """Declared request starts that do not start at the row's first position."""
    if not seen.facts.declared:
        return
    found = {i: row for i, row in enumerate(seen.rows) if row.real > 0 and _runs_on(row, seen)}
    if not found:
        return
    row = next(iter(found.values()))
    isolated = not seen.profile.absolute and all(_is_isolated(row, seen) for row in found.values())
    effect = (
        "Attention keeps them apart and this scheme only sees distances, so the output stands."
        if isolated
        else "Later requests read the earlier ones as their own context."
    )
    yield Hit(
        "packed_not_reset",
        FailureMode.BATCH_MIXUP,
        Severity.INFO if isolated else Severity.PAGE,
        f"{row.boundary_misses} declared request starts in {rows_text(found, len(seen.rows))} do not begin at "
        f"position {row.first_position}: numbering runs through the packed row. {effect} Usual cause: a packing "
        "collator without per-request position_ids. Restart them at each boundary.",
        {
            "rows": first(found),
            "boundary_misses": row.boundary_misses,
            "jumps": row.jumps,
            "resets": row.resets,
            "other_requests_visible": row.cross_visible,
        },
        frozenset(found),
    )


def _runs_on(row: RowFacts, seen: Pass) -> bool:
    """A row that begins in the middle of a request may fall back to another position than its own first one."""
    if row.boundary_misses <= 0:
        return False
    return row.first_position == neutral(seen.profile) or row.boundary_misses > row.jumps + row.resets


def _is_isolated(row: RowFacts, seen: Pass) -> bool:
    return row.cross_visible == 0 or (row.cross_visible < 0 and (seen.facts.mask_rank == 4 or seen.facts.packed))


def packed_not_isolated(seen: Pass) -> Iterator[Hit]:
    """Sampled queries that may attend to keys of another request in their row."""
    found = {i: row for i, row in enumerate(seen.rows) if row.cross_visible > 0 and _is_packed(row, seen)}
    if not found:
        return
    row = next(iter(found.values()))
    sure = seen.facts.declared or (seen.profile.causal and seen.facts.mask_rank != 4 and seen.facts.phase != "encode")
    yield Hit(
        "packed_not_isolated",
        FailureMode.BATCH_MIXUP,
        Severity.PAGE if sure else Severity.INFO,
        f"Tokens of one packed request may attend to up to {row.cross_visible} tokens of another "
        f"({rows_text(found, len(seen.rows))}, {row.resets} position resets). {_leak(seen)} "
        f"Use a block-diagonal mask or the kernel's sequence boundaries.",
        {
            "rows": first(found),
            "visible_keys": row.cross_visible,
            "resets": row.resets,
            "mask_rank": seen.facts.mask_rank,
        },
        frozenset(found),
    )


def _is_packed(row: RowFacts, seen: Pass) -> bool:
    return seen.facts.declared or (row.resets > 0 and seen.profile.scheme != "mrope")


def _leak(seen: Pass) -> str:
    if seen.facts.mask_rank == 2:
        return "Usual cause: a 2-D mask beside packed positions, which switches the isolation of packed rows off."
    return "Usual cause: restarted positions without a mask that separates the requests."
