"""The kind that looks at a gauge in slices of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import model_validator

from locant_slo import names, promql
from locant_slo.durations import format_duration
from locant_slo.expression import narrowed, the_selector
from locant_slo.fields import Number, Seconds
from locant_slo.indicators.counting import Counting, Input, Instant
from locant_slo.indicators.examples import example
from locant_slo.indicators.scope import Scope, filled

_OPPOSITES = {"above": "<=", "at_least": "<", "below": ">=", "at_most": ">"}


class Gauge(Counting):
    """Good while `value` stands where it should, judged once in each slice and series.

    A slice in which a series is missing or NaN counts neither as good nor as bad.
    """

    sums_itself: ClassVar[bool] = True

    kind: Literal["gauge"]
    value: Instant
    above: Number | None = None
    at_least: Number | None = None
    below: Number | None = None
    at_most: Number | None = None
    slice: Seconds = 60
    """How often it is looked at."""

    @model_validator(mode="after")
    def _one(self) -> Gauge:
        given = [name for name in _OPPOSITES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"gauge needs one of {', '.join(_OPPOSITES)}, and has {' and '.join(given) or 'none'}")
        return self

    @property
    def id(self) -> str:
        return self.kind

    @property
    def prepared_every(self) -> int:
        return self.slice

    def count_bad(self, window: int, scope: Scope) -> str:
        return self._summed(names.BAD_SLICES, window, scope)

    def count_all(self, window: int, scope: Scope) -> str:
        return self._summed(names.SLICES, window, scope)

    def _summed(self, name: str, window: int, scope: Scope) -> str:
        which = {names.SLO: scope.slo, names.SERVICE: scope.service}
        return f"sum_over_time({promql.selector(name, which, window=format_duration(window))})"

    def prepared(self, scope: Scope) -> tuple[tuple[str, str], ...]:
        value = narrowed(self.value, scope.matchers)
        looked = scope.aggregated("count", f"({value}) == ({value})")
        word, bound = self._bound()
        broken = scope.aggregated("count", f"({value}) {_OPPOSITES[word]} {bound}")
        return (names.BAD_SLICES, filled(broken, looked)), (names.SLICES, looked)

    def _bound(self) -> tuple[str, str]:
        word = next(name for name in _OPPOSITES if getattr(self, name) is not None)
        return word, promql.number(getattr(self, word))

    def event(self) -> tuple[str, str]:
        word, bound = self._bound()
        shown = f"not {word.replace('_', ' ')} {bound}"
        return f"a slice of {format_duration(self.slice)} of one series", f"its value is {shown} in it"

    def texts(self) -> Mapping[str, str]:
        return {"value": self.value}

    def inputs(self) -> tuple[Input, ...]:
        selector = the_selector(self.value)
        labels = example(selector.matchers) if selector is not None and selector.name else None
        if selector is None or labels is None:
            return ()
        word, text = self._bound()
        bound = float(text)
        high, low = bound + max(1.0, abs(bound)), bound - max(1.0, abs(bound))
        held, broken = (high, low) if word in {"above", "at_least"} else (low, high)
        return (Input(selector.name, labels, "all", held, broken),)
