"""Sentence pairs without segment ids (F9)."""

from __future__ import annotations

from collections.abc import Iterator

from locant.sidecar.checks.hit import Hit, Pass, first, rows_text
from locant_slo.findings import FailureMode, Severity


def segments_missing(seen: Pass) -> Iterator[Hit]:
    """Two separators or more, one segment only, in a model that has several."""
    if seen.profile.token_types < 2:
        return
    found = {i: row for i, row in enumerate(seen.rows) if row.separators >= 2 and row.segments_seen == 1}
    if not found:
        return
    row = next(iter(found.values()))
    yield Hit(
        "segments_missing",
        FailureMode.SEGMENT_MIXUP,
        Severity.TICKET,
        f"{rows_text(found, len(seen.rows)).capitalize()} hold {row.separators} separators but one segment id, in a "
        f"model with {seen.profile.token_types} segment types: a sentence pair is read as one sentence. Usual "
        "cause: a tokenizer that does not return token_type_ids, or a caller that drops them. Pass token_type_ids.",
        {
            "rows": first(found),
            "separators": row.separators,
            "segments_seen": row.segments_seen,
            "token_types": seen.profile.token_types,
        },
        frozenset(found),
    )
