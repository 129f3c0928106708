"""What the costs of a model are held to beside its own past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Kind = tuple[str, int, int, int]
"""Passes that are compared with each other: phase, rows, and steps of tokens and of cache length."""


@dataclass(frozen=True, slots=True)
class PinnedCosts:
    """A pinned release's: seconds that a pass of each kind took, none on another kind of machine; bytes per token and
    sequence that its caches grew by."""

    model_version: str
    seconds: Mapping[Kind, float]
    cache_bytes_per_token: float | None
