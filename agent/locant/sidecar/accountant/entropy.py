"""Entropy stability: each head's mean attention entropy beside the reference's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

from locant.observation import AttentionFacts
from locant.sidecar.accountant.subject import Subject, sli
from locant.sidecar.saved import SavedLayer
from locant.sidecar.store import Update, put
from locant_slo.catalogue.metrics import ENTROPY_HEADS_CHANGED
from locant_slo.statistics import mean_shift

_MOST = 512
"""Layers, and heads of a layer: both numbers come from outside."""


@dataclass(slots=True)
class _Layer:
    """Sums since attach (for the next reference) and since the last judgement, and what that judgement found."""

    totals: list[float]
    window: list[float]
    rows: int = 0
    window_rows: int = 0
    changed: int | None = None


class EntropyLedger:
    """Per-head sums of one release. A layer is judged, all heads at once, when it has rows enough, and begins anew.

    Longer traffic moves the entropy of most heads although nothing broke: the reference must come from like lengths,
    best from the canary's fixed prompts. That is why this indicator informs and promises nothing.
    """

    def __init__(self) -> None:
        self._layers: dict[int, _Layer] = {}

    def take(self, facts: AttentionFacts, subject: Subject) -> Iterator[Update]:
        """One layer of one pass. Sums that are no numbers are left out: one NaN would stay for good."""
        if facts.heads:
            return  # a choice of heads: the reference counts them all, by place
        heads = len(facts.entropy)
        crowded = facts.layer not in self._layers and len(self._layers) >= _MOST
        if crowded or heads > _MOST or not all(map(isfinite, facts.entropy)):
            return
        layer = self._layers.get(facts.layer)
        if layer is None or len(layer.totals) != heads:
            layer = self._layers[facts.layer] = _Layer([0.0] * heads, [0.0] * heads)
        layer.totals = [a + b for a, b in zip(layer.totals, facts.entropy, strict=True)]
        layer.window = [a + b for a, b in zip(layer.window, facts.entropy, strict=True)]
        layer.rows += facts.rows
        layer.window_rows += facts.rows
        if heads and layer.window_rows >= subject.config.entropy_minimum_rows:
            yield from _judge(facts.layer, layer, subject)
            layer.window, layer.window_rows = [0.0] * heads, 0

    def live(self, subject: Subject) -> Iterator[Update]:
        """Heads that their last judgement found changed; nothing while none was judged."""
        judged = [layer.changed for layer in self._layers.values() if layer.changed is not None]
        if judged:
            yield put(ENTROPY_HEADS_CHANGED, subject.labels, sum(judged))

    def saved(self) -> dict[int, SavedLayer]:
        """The sums as they stand, for the next start of the agent."""
        return {
            index: SavedLayer(tuple(one.totals), one.rows, tuple(one.window), one.window_rows, one.changed)
            for index, one in self._layers.items()
        }

    def restore(self, saved: Mapping[int, SavedLayer]) -> None:
        """Go on where saved sums stood."""
        for index, one in saved.items():
            if len(one.totals) == len(one.window):
                self._layers[index] = _Layer(list(one.totals), list(one.window), one.rows, one.window_rows, one.changed)


def _judge(index: int, layer: _Layer, subject: Subject) -> Iterator[Update]:
    reference = subject.reference.entropy.get(index) if subject.reference is not None else None
    if reference is None or len(reference.totals) != len(layer.window):
        return
    minimum = subject.config.entropy_minimum_rows
    shifts = [
        mean_shift(total, layer.window_rows, pinned, reference.rows, minimum)
        for total, pinned in zip(layer.window, reference.totals, strict=True)
    ]
    judged = [shift for shift in shifts if shift is not None]
    if judged:
        layer.changed = sum(abs(shift) > subject.config.entropy_limit_nats for shift in judged)
        yield from sli(subject, "entropy_stability", len(judged), layer.changed)
