"""The kind that is a ratio already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import model_validator

from locant_slo import promql
from locant_slo.durations import format_duration
from locant_slo.expression import narrowed, placed
from locant_slo.indicators.counting import Counter, Counting, Ranged
from locant_slo.indicators.scope import Scope, filled

_MINUTE_SECONDS = 60


class Ratio(Counting):
    """A ratio over `[$window]`, weighed with the events of `weight`; without it, each minute weighs the same."""

    kind: Literal["ratio"]
    error_ratio: Ranged | None = None
    success_ratio: Ranged | None = None
    weight: Counter | None = None

    @model_validator(mode="after")
    def _one(self) -> Ratio:
        if (self.error_ratio is None) == (self.success_ratio is None):
            raise ValueError("ratio needs either error_ratio or success_ratio")
        return self

    @property
    def id(self) -> str:
        return self.kind

    def count_bad(self, window: int, scope: Scope) -> str:
        ratio = self._errors(window, scope)
        if self.weight is None:
            return f"{ratio} * {self._minutes(window)}"
        events = self.count_all(window, scope)
        by = promql.matching(scope.group)
        return filled(f"{ratio} * {by} ({events})", events)

    def count_all(self, window: int, scope: Scope) -> str:
        if self.weight is None:
            return f"0 * {self._errors(window, scope)} + {self._minutes(window)}"
        return scope.counted(self.weight, window)

    def _minutes(self, window: int) -> str:
        return f"{window / _MINUTE_SECONDS:g}"

    def _errors(self, window: int, scope: Scope) -> str:
        """Between 0 and 1, and absent where nothing happened: a comparison drops NaN."""
        text = placed(narrowed(self.error_ratio or self.success_ratio or "", scope.matchers), format_duration(window))
        if self.error_ratio is not None:
            return f"clamp_max({scope.aggregated('max', text)} >= 0, 1)"
        return f"clamp_min(1 - ({scope.aggregated('min', text)} >= 0), 0)"

    def event(self) -> tuple[str, str]:
        if self.weight is None:
            return "a minute in which the ratio exists", "in the share that the ratio calls an error"
        return "one increment of weight", "in the share that the ratio calls an error"

    def texts(self) -> Mapping[str, str]:
        fields = {"error_ratio": self.error_ratio, "success_ratio": self.success_ratio, "weight": self.weight}
        return {name: text for name, text in fields.items() if text is not None}

    def doubts(self) -> Iterator[tuple[str, str]]:
        if self.weight is None:
            field = "error_ratio" if self.error_ratio is not None else "success_ratio"
            yield (
                field,
                "a ratio alone weighs quiet minutes like busy ones; name the counter of its events in weight, or "
                "write the two counters as an indicator of kind events",
            )
