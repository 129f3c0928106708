"""The debug tier's view of attention: recent means per head, and the heat map of the head in focus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from locant.observation import AttentionFacts
from locant.sidecar.accountant.subject import Subject
from locant.sidecar.store import Update, put
from locant_slo.catalogue import metrics

_DECAY = 0.9
"""Each sampled pass weighs nine tenths of the next one: recent enough to see a fault, smooth enough to read."""

SERIES_BINS = 16
"""256 series for the one head in focus: a finer map of two models would fill the agent's series by itself."""

_MOST = 512
"""Layers, and heads of a layer: both numbers come from outside."""


@dataclass(slots=True)
class _Recent:
    """Sums that fade, with the rows behind them."""

    sums: list[float]
    rows: list[float]

    def take(self, sums: tuple[float, ...], rows: tuple[float, ...]) -> None:
        self.sums = [_DECAY * old + new for old, new in zip(self.sums, sums, strict=True)]
        self.rows = [_DECAY * old + new for old, new in zip(self.rows, rows, strict=True)]

    def means(self) -> list[float | None]:
        """Mean per entry; None where there is no row."""
        return [total / rows if rows > 1e-9 else None for total, rows in zip(self.sums, self.rows, strict=True)]


class HeadView:
    """Fading means of one model's heads. `focus` is the layer and head whose heat map is shown: the last one sent."""

    def __init__(self) -> None:
        self._recent: dict[tuple[str, int], _Recent] = {}
        self._names: dict[int, tuple[int, ...]] = {}
        self._heat: _Recent | None = None
        self.focus: tuple[int, int] | None = None

    def take(self, facts: AttentionFacts) -> None:
        """One layer of one pass."""
        heads = len(facts.entropy)
        if facts.layer in self._names or len(self._names) < _MOST:
            self._names[facts.layer] = facts.heads or tuple(range(heads))
        self._fade(metrics.HEAD_ENTROPY.name, facts.layer, facts.entropy, (float(facts.rows),) * heads)
        if facts.padded_rows > 0:
            rows = (float(facts.padded_rows),) * len(facts.padding_mass)
            self._fade(metrics.HEAD_PADDING_MASS.name, facts.layer, facts.padding_mass, rows)
        self._take_heat(facts)

    def gauges(self, subject: Subject) -> Iterator[Update]:
        """Every mean there is."""
        for metric in (metrics.HEAD_PADDING_MASS, metrics.HEAD_ENTROPY):
            for (name, layer), recent in self._recent.items():
                if name == metric.name:
                    for head, mean in zip(self._names.get(layer, ()), recent.means(), strict=False):
                        if mean is not None:
                            yield put(metric, (str(layer), str(head), *subject.labels), mean)
        yield from self._heat_gauges(subject)

    def _take_heat(self, facts: AttentionFacts) -> None:
        bins = facts.heat_bins
        side = -(-bins // SERIES_BINS)
        if not 0 < bins <= _MOST or bins % side or len(facts.heat) != bins**2 or len(facts.heat_rows) != bins:
            return
        if not all(map(isfinite, facts.heat)):
            return
        heat, rows = pooled(facts.heat, facts.heat_rows, side)
        focus, shown = (facts.layer, facts.heat_head), len(rows)
        if focus != self.focus or self._heat is None or len(self._heat.sums) != shown**2:
            self.focus, self._heat = focus, _Recent([0.0] * shown**2, [0.0] * shown**2)
        self._heat.take(heat, tuple(float(count) for count in rows for _ in range(shown)))

    def _heat_gauges(self, subject: Subject) -> Iterator[Update]:
        if self._heat is None or self.focus is None:
            return
        bins = round(len(self._heat.sums) ** 0.5)
        layer, head = self.focus
        for index, mean in enumerate(self._heat.means()):
            if mean is not None:
                query, key = (f"{edge / bins:.2f}" for edge in divmod(index, bins))
                yield put(metrics.HEAD_HEAT, (str(layer), str(head), query, key, *subject.labels), mean)

    def _fade(self, name: str, layer: int, sums: tuple[float, ...], rows: tuple[float, ...]) -> None:
        crowded = (name, layer) not in self._recent and len(self._recent) >= _MOST
        if crowded or len(sums) > _MOST or not all(map(isfinite, sums)):
            return
        recent = self._recent.get((name, layer))
        if recent is None or len(recent.sums) != len(sums):
            recent = self._recent[name, layer] = _Recent([0.0] * len(sums), [0.0] * len(sums))
        recent.take(sums, rows)


def pooled(heat: tuple[float, ...], rows: tuple[int, ...], side: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """A map of sums, and the rows behind each line, with squares of `side` x `side` bins made one: the sums add up."""
    bins = len(rows)
    starts = range(0, bins, side)
    squares = (
        sum(sum(heat[line * bins + key : line * bins + key + side]) for line in range(query, query + side))
        for query in starts
        for key in starts
    )
    return tuple(squares), tuple(sum(rows[query : query + side]) for query in starts)
