"""A bounded channel between the model's thread and the agent's: it never blocks, and counts what it drops."""

from __future__ import annotations

from collections import Counter, deque

from locant.observation import AttentionFacts, ForwardFacts, Observation

_AT_ONCE = 1024
_STATISTICS = 13
"""Of each head, in `AttentionFacts`."""
GULP_NUMBERS = 1 << 15
"""So many numbers of attention and positions, nine bytes each at most, and what came with them fit the smallest buffer
that the kernel gives a socket: twice 208 KiB, where nobody has raised `net.core.wmem_max`."""


class Channel:
    """Many producers, one consumer who comes by now and then. A full channel drops the newest and says so.

    `offer` never waits, nor takes a lock: it is called in the model's thread.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self._items: deque[Observation] = deque()
        self._capacity = capacity
        self._dropped: Counter[str] = Counter()
        self._closed = False

    def offer(self, observation: Observation) -> bool:
        """Hand over one observation; False (and counted) when the channel is full or closed."""
        if self._closed or len(self._items) >= self._capacity:
            self._dropped["closed" if self._closed else "queue_full"] += 1
            return False
        self._items.append(observation)
        return True

    def drain(self, limit: int = _AT_ONCE) -> list[Observation]:
        """Up to `limit` observations, oldest first; empty when none waits."""
        batch: list[Observation] = []
        while self._items and len(batch) < limit:
            batch.append(self._items.popleft())
        return batch

    def gulp(self) -> list[Observation]:
        """What waits, but of a pass that was looked at whole no more than a socket takes at once."""
        batch: list[Observation] = []
        numbers = 0
        while self._items and numbers < GULP_NUMBERS:
            batch.append(self._items.popleft())
            numbers += _numbers(batch[-1])
        return batch

    def forget(self) -> None:
        """Start empty: what waited belongs to the process that forked."""
        self._items.clear()
        self._dropped.clear()

    def close(self) -> None:
        """Refuse further offers; what is inside can still be drained."""
        self._closed = True

    @property
    def depth(self) -> int:
        """Observations waiting."""
        return len(self._items)

    @property
    def dropped(self) -> dict[str, int]:
        """Observations lost so far, by reason."""
        return dict(self._dropped)


def _numbers(one: Observation) -> int:
    """How many numbers an observation carries of what whole passes have much of."""
    if isinstance(one, AttentionFacts):
        return len(one.heat) + _STATISTICS * len(one.entropy)
    return len(one.positions) * len(one.position_columns) if isinstance(one, ForwardFacts) else 0
