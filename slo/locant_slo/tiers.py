"""Burn-rate tiers and when an objective alerts."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from locant_slo.fields import Closed, Name, Ratio, Seconds


class Tier(Closed):
    """One burn-rate tier: it fires when the long and the short window both burn at the speed that spends `budget` of
    the SLO window's error budget within the long window. Source: Google SRE Workbook, chapter 5."""

    name: Name
    severity: Literal["page", "ticket"]
    budget: Ratio
    long: Seconds
    short: Seconds
    hold: Seconds = 120


SRE_WORKBOOK_TIERS: tuple[Tier, ...] = (
    Tier(name="fast", severity="page", budget=Decimal("0.02"), long=3_600, short=300),
    Tier(name="medium", severity="page", budget=Decimal("0.05"), long=21_600, short=1_800, hold=300),
    Tier(name="slow", severity="ticket", budget=Decimal("0.10"), long=86_400, short=7_200, hold=900),
    Tier(name="trickle", severity="ticket", budget=Decimal("0.10"), long=259_200, short=21_600, hold=1_800),
)

WORKBOOK_WINDOW_SECONDS = 2_592_000
SHORTEST_FITTED_SECONDS = 604_800


def fitted_tiers(window: int) -> tuple[Tier, ...]:
    """The workbook's tiers for another SLO window of a week or more: same windows and factors, so budgets scale."""
    scale = Decimal(WORKBOOK_WINDOW_SECONDS) / window
    return tuple(tier.model_copy(update={"budget": tier.budget * scale}) for tier in SRE_WORKBOOK_TIERS)


class NoData(Closed):
    """What the absence of events means: after how long somebody is told, or `ignore`."""

    action: Literal["alert", "ignore"] = "alert"
    after: Seconds = 900
    severity: Literal["page", "ticket"] = "ticket"


class Alerting(Closed):
    """When an objective alerts. `minimum_bad_events` in the long window keep one bad event of two from paging."""

    enabled: bool = True
    tiers: tuple[Tier, ...] = SRE_WORKBOOK_TIERS
    minimum_bad_events: Annotated[int, Field(ge=1)] = 5
    keep_firing_for: Seconds = 300
    no_data: NoData = NoData()
