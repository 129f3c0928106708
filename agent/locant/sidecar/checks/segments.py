"""Sentence pairs without segment ids, or with ids that stand elsewhere (F9)."""

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


def segments_astray(seen: Pass) -> Iterator[Hit]:
    """A sentence pair whose segment ids change elsewhere than behind a separator, or from the second to the first."""
    found = {i for i, astray in enumerate(seen.facts.segments_astray) if astray > 0}
    if not found:
        return
    yield Hit(
        "segments_astray",
        FailureMode.SEGMENT_MIXUP,
        Severity.TICKET,
        f"The token types of {rows_text(found, len(seen.facts.segments_astray))} change once, but not behind a "
        "separator, or from the second segment to the first: part of one sentence is read as the other. Usual cause: "
        "token_type_ids that were not truncated, padded or shifted together with input_ids, or two sentences "
        "exchanged. Take both from one tokenizer call.",
        {"rows": first(found), "token_types": seen.profile.token_types},
        frozenset(found),
    )
