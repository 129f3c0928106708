"""The kind that Locant's agent counts itself."""

from __future__ import annotations

from difflib import get_close_matches
from typing import ClassVar, Literal

from pydantic import field_validator

from locant_slo import promql
from locant_slo.catalogue import Metric, labels, metrics
from locant_slo.expression import narrowed
from locant_slo.indicators.built_in import BY_ID, Indicator
from locant_slo.indicators.counting import Counting, Input
from locant_slo.indicators.scope import Scope, filled


class BuiltIn(Counting):
    """An indicator of the catalogue: a pair of counters, told apart by the label `indicator`."""

    default_group: ClassVar[tuple[str, ...]] = (labels.MODEL.name, labels.MODEL_VERSION.name)

    kind: Literal["built_in"] = "built_in"
    name: str

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in BY_ID:
            nearest = get_close_matches(value, BY_ID, n=1)
            meant = f"did you mean {nearest[0]}? The others are" if nearest else "choose one of"
            others = ", ".join(sorted(set(BY_ID) - set(nearest)))
            raise ValueError(f"{value!r} is no indicator; {meant} {others}")
        return value

    @property
    def id(self) -> str:
        return self.name

    @property
    def entry(self) -> Indicator:
        """What the catalogue says about it."""
        return BY_ID[self.name]

    def count_bad(self, window: int, scope: Scope) -> str:
        return filled(scope.counted(self.counter(metrics.SLI_BAD_EVENTS), window), self.count_all(window, scope))

    def count_all(self, window: int, scope: Scope) -> str:
        return scope.counted(self.counter(metrics.SLI_EVENTS), window)

    def counter(self, metric: Metric) -> str:
        """A selector of one of the two counters."""
        return promql.selector(metric, {labels.INDICATOR.name: self.name})

    def titled(self, objective: str) -> str:
        return self.entry.title.lower()

    def called(self, objective: str) -> str:
        return self.name

    def raw_events(self, scope: Scope) -> str:
        return narrowed(self.counter(metrics.SLI_EVENTS), scope.matchers)

    def event(self) -> tuple[str, str]:
        return self.entry.event, self.entry.bad

    def reads(self) -> frozenset[str]:
        return frozenset({f"{metrics.SLI_EVENTS.prometheus_name}/{self.name}"})

    def inputs(self) -> tuple[Input, ...]:
        which = {labels.INDICATOR.name: self.name}
        return (
            Input(metrics.SLI_EVENTS.prometheus_name, which, "all"),
            Input(metrics.SLI_BAD_EVENTS.prometheus_name, which, "bad"),
        )
