"""The kind that counts observations of a classic histogram up to one of its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from pydantic import field_validator, model_validator

from locant_slo import promql
from locant_slo.expression import Selector, narrowed, suffixed, the_selector
from locant_slo.fields import Number
from locant_slo.indicators.counting import Counting, Input, Selects
from locant_slo.indicators.examples import example
from locant_slo.indicators.scope import Scope


class Latency(Counting):
    """Good up to `le`, which must be a bound of the histogram: between two bounds nothing is known.

    Where the bucket is not there at all nothing is counted, so a wrong `le` shows as missing data and not as health.
    """

    kind: Literal["latency"]
    histogram: Selects
    """Without `_bucket`, `_count` or `_sum`."""
    le: Number
    buckets: tuple[Number, ...] = ()
    """The histogram's bounds, if known: `le` is then checked against them."""

    @field_validator("histogram")
    @classmethod
    def _base_name(cls, value: str) -> str:
        selector = the_selector(value)
        name = selector.name if selector else ""
        for suffix in ("_bucket", "_count", "_sum"):
            if name.endswith(suffix):
                raise ValueError(f"{name!r} is a part of a histogram; write {name.removesuffix(suffix)}")
        if not name:
            raise ValueError(f"{value!r} names no metric; write the histogram's name, as in request_duration_seconds")
        if selector and selector.matcher("le"):
            raise ValueError(f"{value!r} picks buckets itself; drop le there and write it in the field le")
        return value

    @model_validator(mode="after")
    def _is_a_bound(self) -> Latency:
        if self.buckets and self.le not in self.buckets:
            nearest = min(self.buckets, key=lambda bound: abs(bound - self.le))
            raise ValueError(
                f"le {promql.number(self.le)} is no bound of the histogram; the nearest is {promql.number(nearest)}"
            )
        return self

    @property
    def id(self) -> str:
        return self.kind

    def count_bad(self, window: int, scope: Scope) -> str:
        good = scope.counted(self._part("_bucket"), window)
        return f"clamp_min({scope.counted(self._part('_count'), window)} - {good}, 0)"

    def count_all(self, window: int, scope: Scope) -> str:
        return f"{scope.counted(self._part('_count'), window)} and {scope.counted(self._part('_bucket'), window)}"

    def _part(self, suffix: str) -> str:
        """A selector of the histogram's count, or of the bucket up to `le`."""
        text = suffixed(self.histogram, suffix)
        if suffix != "_bucket":
            return text
        bounds = spellings(self.le)
        return narrowed(text, {"le": bounds[0] if len(bounds) == 1 else "~" + "|".join(map(escaped, bounds))})

    def _selector(self) -> Selector:
        selector = the_selector(self.histogram)
        assert selector is not None  # the field's own check
        return selector

    def event(self) -> tuple[str, str]:
        return f"one observation of {self._selector().name}", f"it is above {promql.number(self.le)}"

    def texts(self) -> Mapping[str, str]:
        return {"histogram": self.histogram}

    def inputs(self) -> tuple[Input, ...]:
        labels = example(self._selector().matchers)
        if labels is None:
            return ()
        name, bound = self._selector().name, spellings(self.le)[0]
        return (
            Input(f"{name}_bucket", labels | {"le": bound}, "good"),
            Input(f"{name}_bucket", labels | {"le": "+Inf"}, "all"),
            Input(f"{name}_count", labels, "all"),
        )


def spellings(bound: Decimal) -> tuple[str, ...]:
    """Every way in which clients and versions of Prometheus write a bucket's bound: 1 is `1` or `1.0`, and so on."""
    plain = promql.number(bound)
    found = [plain] if "." in plain else [plain, f"{plain}.0"]
    exponent = bound.adjusted()
    if bound and (exponent < -4 or exponent >= 6):
        digits = "".join(map(str, bound.normalize().as_tuple().digits))
        mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
        found.append(f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}")
    return tuple(found)


def escaped(text: str) -> str:
    """A bound within a regular expression, readable: a class around what has a meaning."""
    return text.replace(".", "[.]").replace("+", "[+]")
