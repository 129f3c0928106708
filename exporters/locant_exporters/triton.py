"""A snapshot's numbers on the metrics page of Triton itself, through the metrics API of its Python backend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from prometheus_client.samples import Sample

from locant_exporters.prometheus import SnapshotCollector
from locant_slo.snapshot import Snapshot

_Key = tuple[str, tuple[tuple[str, str], ...]]
_COUNTERS = frozenset({"counter", "histogram"})


@dataclass(slots=True)
class _Series:
    """One series of Triton's, and the value that it shows."""

    metric: Any
    counter: bool
    shown: float = 0.0

    def bring(self, value: float) -> None:
        if self.counter and value > self.shown:
            self.metric.increment(value - self.shown)
        elif not self.counter and value != self.shown:
            self.metric.set(value)
        self.shown = value


class TritonMetrics:
    """Keeps Triton's custom metrics as the snapshots say. `pb_utils` is the module `triton_python_backend_utils`.

    Triton can neither take a histogram's counts as they stand nor remove a series: the parts of a histogram are
    counters of their usual names, and a gauge that a later snapshot lacks becomes NaN. What did not change is not sent,
    for each call crosses to the server's process (about 40 µs). Never a negative increment: Triton 2.51 hangs on it.
    """

    def __init__(self, pb_utils: Any) -> None:
        self._kinds = pb_utils.MetricFamily
        self._families: dict[str, Any] = {}
        self._series: dict[_Key, _Series] = {}

    def show(self, snapshot: Snapshot) -> None:
        """Bring every series to its value in `snapshot`. What Triton raises is passed on; the next call catches up."""
        gone = dict(self._series)
        for family in SnapshotCollector(lambda: snapshot).collect():
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                gone.pop(key, None)
                if key not in self._series:
                    self._series[key] = self._new(sample, family.type in _COUNTERS, family.documentation)
                self._series[key].bring(float(sample.value))
        for series in gone.values():
            if not series.counter and not math.isnan(series.shown):
                series.bring(math.nan)

    def _new(self, sample: Sample, counter: bool, help_text: str) -> _Series:
        if sample.name not in self._families:
            kind = self._kinds.COUNTER if counter else self._kinds.GAUGE
            one_line = " ".join(help_text.split())  # Triton writes a line break as it is, into the middle of its page
            self._families[sample.name] = self._kinds(name=sample.name, description=one_line, kind=kind)
        return _Series(self._families[sample.name].Metric(labels=sample.labels), counter)
