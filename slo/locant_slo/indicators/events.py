"""The kind that counts increments of counters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import model_validator

from locant_slo.expression import the_selector
from locant_slo.indicators.counting import Counter, Counting, Input
from locant_slo.indicators.examples import outsiders, pair
from locant_slo.indicators.scope import Scope, filled


class Events(Counting):
    """Two of good, bad and total events; the third follows. Prefer `bad` and `total`: a counter of good events that is
    born late reads as bad ones."""

    kind: Literal["events"]
    good: Counter | None = None
    bad: Counter | None = None
    total: Counter | None = None

    @model_validator(mode="after")
    def _two(self) -> Events:
        given = [name for name, text in self.texts().items()]
        if len(given) != 2:
            raise ValueError(f"events needs two of good, bad and total, and has {' and '.join(given) or 'none'}")
        return self

    @property
    def id(self) -> str:
        return self.kind

    def count_bad(self, window: int, scope: Scope) -> str:
        everything = self.count_all(window, scope)
        if self.bad is not None:
            bad = scope.counted(self.bad, window)
            return filled(bad, everything if self.total else scope.counted(self.good or "", window))
        good = scope.counted(self.good or "", window)
        return f"clamp_min({everything} - ({filled(good, everything)}), 0)"

    def count_all(self, window: int, scope: Scope) -> str:
        if self.total is not None:
            return scope.counted(self.total, window)
        good, bad = scope.counted(self.good or "", window), scope.counted(self.bad or "", window)
        return f"({filled(good, bad)}) + ({filled(bad, good)})"

    def event(self) -> tuple[str, str]:
        return "one increment of its counters", "it is counted as bad, or not as good"

    def texts(self) -> Mapping[str, str]:
        fields = {"good": self.good, "bad": self.bad, "total": self.total}
        return {name: text for name, text in fields.items() if text is not None}

    def inputs(self) -> tuple[Input, ...]:
        picked = {name: the_selector(text) for name, text in self.texts().items()}
        if any(selector is None or not selector.name for selector in picked.values()):
            return ()
        return pair(picked.get("good"), picked.get("bad"), picked.get("total"))

    def telling(self) -> frozenset[str]:
        """Those by which two selectors of one counter differ."""
        one, other = map(the_selector, self.texts().values())
        if one is None or other is None or one.name != other.name:
            return frozenset()
        return frozenset(matcher.label for matcher in {*one.matchers} ^ {*other.matchers})

    def doubts(self) -> Iterator[tuple[str, str]]:
        total = the_selector(self.total) if self.total else None
        for name in ("good", "bad"):
            text = getattr(self, name)
            part = the_selector(text) if text else None
            if part is not None and total is not None:
                yield from ((name, sentence) for sentence in outsiders(name, part, total))
