"""How the attention facts of a pass must be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PassNote:
    """What attention facts of a pass must be read with."""

    masked: bool
    padding_trusted: bool
    crossing_known: bool
    crossing_sure: bool
