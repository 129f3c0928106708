"""The kind that counts observations of a native histogram below a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from locant_slo import promql
from locant_slo.fields import Number
from locant_slo.indicators.counting import Counting, Selects
from locant_slo.indicators.scope import Scope, filled


class NativeLatency(Counting):
    """Good up to `threshold`, at any value: inside a bucket Prometheus interpolates."""

    kind: Literal["native_latency"]
    histogram: Selects
    threshold: Number

    @property
    def id(self) -> str:
        return self.kind

    def count_bad(self, window: int, scope: Scope) -> str:
        observed = scope.counted(self.histogram, window)
        good = f"histogram_fraction(-Inf, {promql.number(self.threshold)}, {observed})"
        return filled(f"{self.count_all(window, scope)} * (1 - ({good} >= 0))", self.count_all(window, scope))

    def count_all(self, window: int, scope: Scope) -> str:
        return f"histogram_count({scope.counted(self.histogram, window)})"

    def event(self) -> tuple[str, str]:
        return f"one observation of {self.histogram}", f"it is above {promql.number(self.threshold)}"

    def texts(self) -> Mapping[str, str]:
        return {"histogram": self.histogram}
