"""Positional tables, masks and biases that grow although no request is longer than those before."""

from __future__ import annotations

from dataclasses import dataclass

from locant.observation import ForwardFacts

GROWTHS = 4
"""A module that builds its buffers when first called explains one, another dtype one more."""
_FORGOTTEN_AFTER = 4096


@dataclass(frozen=True, slots=True)
class PositionalGrowth:
    """So many growths that no longer request explains, between these sizes. `reach`: the longest request so far."""

    growths: int
    bytes_before: int
    bytes_after: int
    reach_tokens: int


class PositionalWatch:
    """Follows the positional bytes of one part of a model. New highs count, and only without a new longest request,
    largest batch or largest call: what is sized to any of these grows by right."""

    def __init__(self) -> None:
        self._reach = (0, 0, 0)
        self._peak = -1
        self._first = 0
        self._growths: list[int] = []

    def take(self, facts: ForwardFacts) -> PositionalGrowth | None:
        """What a pass adds; a growth is given when there were enough of them, each time that one more comes."""
        planned = facts.highest_planned_position
        now = (planned if planned is not None else -1, len(facts.rows), facts.queries)
        longer = any(new > old for new, old in zip(now, self._reach, strict=True))
        if longer:
            self._reach = tuple(map(max, now, self._reach))  # type: ignore[assignment]
        if facts.positional_bytes <= self._peak:
            return None
        before, self._peak = self._peak, facts.positional_bytes
        if longer or planned is None or before < 0 or facts.error:
            return None
        self._growths = [n for n in self._growths if facts.pass_number - n < _FORGOTTEN_AFTER]
        if not self._growths:
            self._first = before
        self._growths.append(facts.pass_number)
        if len(self._growths) < GROWTHS:
            return None
        return PositionalGrowth(len(self._growths), self._first, facts.positional_bytes, self._reach[0] + 1)
