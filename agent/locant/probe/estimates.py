"""What a look will take, from what looks took before: by subject, kind of pass and effort."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from locant.probe.effort import Effort

Kind = tuple[Hashable, ...]
"""What passes of a kind have in common; the phase stands first."""

_REMEMBERED = 1024
_PATIENCE_SECONDS = 60.0
_ADAPT = 0.3
_MAPS_TAKE = 1.5


@dataclass(frozen=True, slots=True)
class Price:
    """Seconds that a look takes: as `expected`, and the `least` that it takes by all that was measured so far."""

    expected: float
    least: float


@dataclass(frozen=True, slots=True)
class _Known:
    """The price as of `at`; without a look it halves every `patience` seconds, so that no price lasts for ever.

    `least` is 0 after a single look: a first one may be dear because everything in it happens for the first time.
    """

    seconds: float
    first: float
    least: float
    at: float
    patience: float = _PATIENCE_SECONDS

    def now(self, at: float) -> float:
        return float(self.seconds * 0.5 ** ((at - self.at) / self.patience))


class Estimates:
    """Prices of looks; times `at` are seconds of forward time.

    A price jumps up at once and comes down slowly. One that was forgotten too early (the next look takes twice what
    was expected) is remembered twice as long from then on.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, Kind], dict[Effort, _Known]] = {}

    def note(self, subject: str, kind: Kind, effort: Effort, seconds: float, at: float) -> None:
        """A look took `seconds`."""
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        prices = self._known.setdefault((subject, kind), {})
        known = prices.get(effort)
        if known is None:
            prices[effort] = _Known(seconds, seconds, 0.0, at)
            return
        expected = known.now(at)
        forgotten = seconds > 2 * expected and known.seconds > 2 * expected
        patience = known.patience * 2 if forgotten else _PATIENCE_SECONDS
        settled = max(seconds, expected + _ADAPT * (seconds - expected))
        least = min(seconds, known.least or known.first)
        prices[effort] = _Known(settled, known.first, least, at, patience)

    def expect(self, subject: str, kind: Kind, effort: Effort, at: float) -> Price | None:
        """The price in passes of this kind; None before any look at one."""
        prices = self._known.get((subject, kind))
        return _of_kind(prices, effort, at) if prices else None

    def guess(self, subject: str, kind: Kind, effort: Effort, at: float) -> Price:
        """The price in the dearest kind of the same phase; nothing before any look."""
        alike = (prices for (what, other), prices in self._known.items() if what == subject and other[0] == kind[0])
        return Price(max((_of_kind(prices, effort, at).expected for prices in alike), default=0.0), 0.0)


def _of_kind(prices: dict[Effort, _Known], effort: Effort, at: float) -> Price:
    """As measured with this effort; else no more than a larger one takes, nor than a smaller one's in proportion.

    The least is what others show it to be at most, and what this effort took itself. A single look says nothing of the
    least by itself; beside others it bounds it.
    """
    ratios = {other: _ratio(effort, other) for other in prices}
    least = min((prices[other].least * ratio for other, ratio in ratios.items() if prices[other].least), default=0.0)
    if effort in prices:
        return Price(prices[effort].now(at), min(least, prices[effort].first))
    return Price(min(prices[other].seconds * ratio for other, ratio in ratios.items()), least)


def _ratio(effort: Effort, known: Effort) -> float:
    """At most so many times what a known effort takes: in proportion to rows and layers, and half more for maps."""
    more_maps = _MAPS_TAKE if effort.maps > 1 and known.maps == 1 else 1.0
    return max(effort.rows / known.rows, 1.0) * max(effort.layers / known.layers, 1.0) * more_maps
