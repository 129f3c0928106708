"""What every kind of indicator is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from locant_slo.expression import PLACE, placed, ranges, selectors, the_selector, tokens, uncommented
from locant_slo.fields import Closed
from locant_slo.indicators.scope import Scope

Share = Literal["good", "bad", "all"]


@dataclass(frozen=True, slots=True)
class Input:
    """One raw series with which an indicator can be proven: its metric, its labels, and which events it counts.

    `held` and `broken`: the values of a gauge while it is good and while it is not; a counter has none.
    """

    metric: str
    labels: Mapping[str, str]
    share: Share
    held: float | None = None
    broken: float | None = None


class Counting(Closed):
    """A kind of indicator. `count_bad` and `count_all` are PromQL for the events of a window of seconds, by group."""

    default_group: ClassVar[tuple[str, ...]] = ()
    sums_itself: ClassVar[bool] = False
    """True where a window of any length is as cheap as a sum of recorded counts."""

    @property
    def prepared_every(self) -> int:
        """How often what is prepared must be recorded, in seconds."""
        return 0

    @property
    def id(self) -> str:
        """The value of the label `indicator`."""
        raise NotImplementedError

    def count_bad(self, window: int, scope: Scope) -> str:
        """Bad events, 0 for a group that has none."""
        raise NotImplementedError

    def count_all(self, window: int, scope: Scope) -> str:
        """All valid events."""
        raise NotImplementedError

    def titled(self, objective: str) -> str:
        """What its events are called in the middle of a sentence."""
        return objective.replace("-", " ")

    def called(self, objective: str) -> str:
        """The one word for it."""
        return objective

    def raw_events(self, scope: Scope) -> str:
        """A selector of what exists as long as anybody counts; empty where only the recorded counts can tell."""
        return ""

    def event(self) -> tuple[str, str]:
        """What an event is, and when it is bad, as words."""
        raise NotImplementedError

    def prepared(self, scope: Scope) -> tuple[tuple[str, str], ...]:
        """Series to record before the counts can be asked for: name and expression."""
        return ()

    def texts(self) -> Mapping[str, str]:
        """The user's own PromQL by field."""
        return {}

    def inputs(self) -> tuple[Input, ...]:
        """Series that make events, for proofs; empty where the expression is opaque."""
        return ()

    def reads(self) -> frozenset[str]:
        """The metrics that it counts; an empty name where a selector names none and may read anything."""
        return frozenset(selector.name for text in self.texts().values() for selector in selectors(text))

    def telling(self) -> frozenset[str]:
        """Labels whose values tell bad events from good ones."""
        return frozenset()

    def doubts(self) -> Iterator[tuple[str, str]]:
        """Field and sentence for what is allowed and probably not meant."""
        return iter(())


def counter(text: str) -> str:
    """A selector, or an expression whose ranges are places. Raises ValueError with a sentence where it is neither."""
    text = uncommented(text)
    placed(text, "5m")
    found = selectors(text)
    if not found:
        raise ValueError(f'{text!r} selects no series; name a counter, as in http_requests_total{{code=~"5.."}}')
    if the_selector(text) is None and not any(token.kind == "place" for token in ranges(text)):
        raise ValueError(
            f"{shortened(text)} is an expression without a window; write [{PLACE}] where the range belongs, as in "
            f"increase({found[0].name or 'x_total'}[{PLACE}]), or name a counter alone"
        )
    return text


def _selector(text: str) -> str:
    text = uncommented(text)
    if the_selector(text) is None:
        raise ValueError(
            f'{shortened(text)} is no selector; write a metric and its labels, as in x_total{{job="chat"}}'
        )
    return text


def _instant(text: str) -> str:
    text = uncommented(text)
    if any(token.kind == "place" for token in tokens(text)):
        raise ValueError(f"{PLACE} has no meaning in {shortened(text)}; a gauge is looked at once in each slice")
    if not selectors(text):
        raise ValueError(f"{shortened(text)} selects no series; name a gauge")
    return text


def ranged(text: str) -> str:
    """An expression over a window. Raises ValueError with a sentence where it is none."""
    text = counter(text)
    if the_selector(text) is not None:
        raise ValueError(f"{shortened(text)} is a counter and no ratio; write an expression over [{PLACE}]")
    return text


def shortened(text: str) -> str:
    """A text as a sentence can carry it."""
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 60 else f"{flat[:57]}...")


Counter = Annotated[str, AfterValidator(counter)]
"""A selector of counters, or an expression over `[$window]` that counts events."""
Selects = Annotated[str, AfterValidator(_selector)]
Instant = Annotated[str, AfterValidator(_instant)]
Ranged = Annotated[str, AfterValidator(ranged)]
