"""The kind that reads a counter whose label says how each event ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from locant_slo.expression import Matcher, matched, the_selector
from locant_slo.fields import LabelName
from locant_slo.indicators.counting import Counting, Input, Selects
from locant_slo.indicators.examples import example
from locant_slo.indicators.scope import Scope, filled

Values = Annotated[tuple[str, ...], Field(min_length=1)]
_META = set(r"\.+*?()|[]{}^$")


class Verdict(Counting):
    """Bad where `label` has a value of `bad`; good where it has one of `good`, or any other that is not in `ignore`."""

    kind: Literal["verdict"]
    counter: Selects
    label: LabelName
    bad: Values
    good: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _apart(self) -> Verdict:
        if twice := sorted(set(self.bad) & {*self.good, *self.ignore} | set(self.good) & set(self.ignore)):
            raise ValueError(f"{twice[0]!r} stands in two of bad, good and ignore; keep it in one")
        if self.good and self.ignore:
            raise ValueError("with good given, every other value is ignored anyway; drop ignore")
        return self

    @field_validator("counter")
    @classmethod
    def _names_a_metric(cls, value: str) -> str:
        selector = the_selector(value)
        if selector is None or not selector.name:
            raise ValueError(f"{value!r} names no metric; write the counter's name")
        return value

    @property
    def id(self) -> str:
        return self.kind

    def count_bad(self, window: int, scope: Scope) -> str:
        bad = scope.counted(matched(self.counter, self.label, one_of(self.bad)), window)
        return filled(bad, self.count_all(window, scope))

    def count_all(self, window: int, scope: Scope) -> str:
        if self.good:
            return scope.counted(matched(self.counter, self.label, one_of((*self.good, *self.bad))), window)
        if self.ignore:
            return scope.counted(matched(self.counter, self.label, "!" + one_of(self.ignore)), window)
        return scope.counted(self.counter, window)

    def telling(self) -> frozenset[str]:
        return frozenset({self.label})

    def event(self) -> tuple[str, str]:
        return f"one increment of {self.counter}", f"its {self.label} is {' or '.join(self.bad)}"

    def texts(self) -> Mapping[str, str]:
        return {"counter": self.counter}

    def inputs(self) -> tuple[Input, ...]:
        selector = the_selector(self.counter)
        assert selector is not None  # the field's own check
        bad = example((*selector.matchers, Matcher(self.label, "=", self.bad[0])))
        right = (self.good or ("fine",))[0]
        good = example((*selector.matchers, Matcher(self.label, "=", right)))
        if bad is None or good is None:
            return ()
        return Input(selector.name, bad, "bad"), Input(selector.name, good, "good")


def one_of(values: tuple[str, ...]) -> str:
    """A regular expression in the notation of `promql.matcher`, for exactly these values."""
    return "~" + "|".join(
        "".join(f"[{c}]" if c in _META - set("\\^") else f"\\{c}" if c in _META else c for c in value)
        for value in values
    )
