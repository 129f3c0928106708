"""Which bucket a value, a length or a position falls into."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from locant_slo.catalogue.labels import LENGTH_BUCKET, POSITION_BUCKET

_LENGTH_SHARES = (0.125, 0.25, 0.5, 1.0, 2.0)
*_LENGTHS, _BEYOND_LENGTHS, _UNKNOWN_LENGTH = LENGTH_BUCKET.values
*_POSITIONS, _BEYOND_POSITIONS = POSITION_BUCKET.values


def bucket_index(value: float, edges: Sequence[float]) -> int:
    """Index of the bucket `(edges[i - 1], edges[i]]` that holds `value`; `len(edges)` above the last edge."""
    return bisect_left(edges, value)


def length_bucket(tokens: int, trained_tokens: int | None) -> str:
    """The `length_bucket` label of a sequence: its length as a share of the trained length, upper bounds inclusive."""
    if not trained_tokens:
        return _UNKNOWN_LENGTH
    index = bucket_index(tokens / trained_tokens, _LENGTH_SHARES)
    return _LENGTHS[index] if index < len(_LENGTHS) else _BEYOND_LENGTHS


def position_bucket(position: int, trained_tokens: int) -> str:
    """The `position_bucket` label of a 0-based position: its fifth of the trained length, or beyond it."""
    index = position * len(_POSITIONS) // trained_tokens
    return _POSITIONS[index] if index < len(_POSITIONS) else _BEYOND_POSITIONS
