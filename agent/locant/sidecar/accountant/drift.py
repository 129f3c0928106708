"""Length drift: a sliding window of lengths beside the pinned reference."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from locant.sidecar.accountant.lengths import NewSequence
from locant.sidecar.accountant.subject import Subject, sli
from locant.sidecar.saved import SavedDrift
from locant.sidecar.store import Update, put
from locant_slo.catalogue.metrics import LENGTH_DRIFT, SEQUENCE_LENGTH
from locant_slo.statistics import bucket_index, merge_counts, wasserstein_octaves

SLOTS = 24
"""Slots in a window; each slot that ends closes a window, so that a day's window gives an event an hour."""
_BUCKETS = len(SEQUENCE_LENGTH.buckets) + 1


class DriftWindow:
    """The lengths of the last `window_seconds`, in `SLOTS` slots; also all of them, for the next reference.

    A window shorter than its time, or with fewer sequences than the minimum, says nothing: "insufficient data" is
    neither a good nor a bad event.
    """

    def __init__(self, window_seconds: float, now: float) -> None:
        self._window_seconds = window_seconds
        self._slots: deque[list[int]] = deque(maxlen=SLOTS)
        self._current = [0] * _BUCKETS
        self._slot_ends = now + window_seconds / SLOTS
        self.all_counts = [0] * _BUCKETS
        self.all_tokens = 0

    def record(self, sequences: Iterable[NewSequence]) -> None:
        """Count lengths into the slot that runs. Call `advance` first."""
        for sequence in sequences:
            index = bucket_index(sequence.tokens, SEQUENCE_LENGTH.buckets)
            self._current[index] += 1
            self.all_counts[index] += 1
            self.all_tokens += sequence.tokens

    def advance(self, now: float, subject: Subject) -> Iterator[Update]:
        """End every slot that is over and judge the window that ends with it."""
        window = subject.config.drift_window_seconds
        slot, ahead = window / SLOTS, self._slot_ends - now
        if ahead < -2 * window or ahead > 2 * slot or window != self._window_seconds:
            self._restart(window, now)
        while now >= self._slot_ends:
            self._slots.append(self._current)
            self._current = [0] * _BUCKETS
            self._slot_ends += slot
            if len(self._slots) == SLOTS:
                yield from self._judge(merge_counts(self._slots, _BUCKETS), subject)

    def live(self, subject: Subject) -> Iterator[Update]:
        """The distance as it stands now, once there are enough sequences to tell it."""
        octaves = _octaves(merge_counts([*self._slots, self._current], _BUCKETS), subject)
        if octaves is not None:
            yield put(LENGTH_DRIFT, subject.labels, octaves)

    def saved(self) -> SavedDrift:
        """The window as it stands, for the next start of the agent."""
        return SavedDrift(
            window_seconds=self._window_seconds,
            slot_ends=self._slot_ends,
            slots=tuple(map(tuple, self._slots)),
            current=tuple(self._current),
            all_counts=tuple(self.all_counts),
            all_tokens=self.all_tokens,
        )

    def restore(self, saved: SavedDrift) -> None:
        """Go on where a saved window stood; one on other edges says nothing here. Slots missed since then are empty."""
        rows = (*saved.slots, saved.current, saved.all_counts)
        if any(len(row) != _BUCKETS for row in rows) or len(saved.slots) > SLOTS:
            return
        self._window_seconds, self._slot_ends = saved.window_seconds, saved.slot_ends
        self._slots.extend(map(list, saved.slots))
        self._current, self.all_counts = list(saved.current), list(saved.all_counts)
        self.all_tokens = saved.all_tokens

    def _judge(self, counts: list[int], subject: Subject) -> Iterator[Update]:
        octaves = _octaves(counts, subject)
        if octaves is not None:
            yield from sli(subject, "length_drift", 1, octaves > subject.config.drift_limit_octaves)

    def _restart(self, window_seconds: float, now: float) -> None:
        """After a long silence, a clock that jumped back or another configuration, the window begins again."""
        self._slots.clear()
        self._current = [0] * _BUCKETS
        self._window_seconds = window_seconds
        self._slot_ends = now + window_seconds / SLOTS


def _octaves(counts: list[int], subject: Subject) -> float | None:
    """Distance from the reference; None without a reference or with too few sequences on either side."""
    reference = subject.reference.lengths if subject.reference is not None else None
    if reference is None or min(sum(counts), sum(reference.counts)) < subject.config.drift_minimum_sequences:
        return None
    return wasserstein_octaves(counts, reference.counts, SEQUENCE_LENGTH.buckets)
