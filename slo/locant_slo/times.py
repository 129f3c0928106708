"""Stretches of time that a spec names: calendar windows, maintenance, and the quiet after a release."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, Discriminator, Field, Tag, model_validator

from locant_slo.catalogue import labels, metrics
from locant_slo.fields import Closed, LabelName, Name, Seconds
from locant_slo.indicators.counting import Instant, Selects

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
"""In PromQL's order: `day_of_week()` is 0 on Sundays."""
WEEK_SECONDS = 604_800
_DAY_SECONDS = 86_400
_PERIOD_SECONDS = {
    "week": (WEEK_SECONDS, 8 * _DAY_SECONDS),
    "month": (30 * _DAY_SECONDS, 32 * _DAY_SECONDS),
    "quarter": (90 * _DAY_SECONDS, 93 * _DAY_SECONDS),
}


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is no time zone; write one as in Europe/Berlin or UTC") from error
    return value


def _clock(value: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError(f"{value!r} is no time of day; write it as in '22:30', in quotes")
    return value


TimeZone = Annotated[str, AfterValidator(_zone)]
Clock = Annotated[str, AfterValidator(_clock)]
Day = Literal["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


class Calendar(Closed):
    """A budget that begins anew with each week (Monday), month or quarter of a time zone."""

    period: Literal["week", "month", "quarter"]
    time_zone: TimeZone = "UTC"

    @property
    def nominal_seconds(self) -> int:
        """The length that burn rates reckon with: 7, 30 or 90 days, whatever this period's own length."""
        return _PERIOD_SECONDS[self.period][0]

    @property
    def longest_seconds(self) -> int:
        """No period of this kind is longer, however the clocks are changed in it."""
        return _PERIOD_SECONDS[self.period][1]


class Weekly(Closed):
    """A stretch that comes back every week: on these days, from a time of day on, for so long."""

    name: Name
    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS  # type: ignore[assignment]  # the same seven words
    start: Clock
    lasts: Seconds
    time_zone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _within_a_week(self) -> Weekly:
        if self.lasts >= WEEK_SECONDS:
            raise ValueError("lasts a week or more, so it would never end; make it shorter")
        return self


class Once(Closed):
    """A stretch that comes once: from a moment, with its offset from UTC, for so long."""

    name: Name
    at: AwareDatetime
    lasts: Seconds


class While(Closed):
    """A stretch that Prometheus knows of: it lasts while the expression gives any sample."""

    name: Name
    condition: Instant


def _which(value: object) -> str:
    if isinstance(value, dict):
        return "[While]" if "condition" in value else "[Once]" if "at" in value else "[Weekly]"
    return f"[{type(value).__name__}]" if isinstance(value, (Once, While)) else "[Weekly]"


Maintenance = Annotated[
    Annotated[Weekly, Tag("[Weekly]")] | Annotated[Once, Tag("[Once]")] | Annotated[While, Tag("[While]")],
    Discriminator(_which),
]


class Deploys(Closed):
    """The quiet after a release: so long after `release` changed in a `by`, nothing counts and nobody is paged."""

    quiet: Seconds
    series: Selects = metrics.MODEL_INFO.prometheus_name
    release: LabelName = labels.MODEL_VERSION.name
    by: tuple[LabelName, ...] = (labels.MODEL.name,)
