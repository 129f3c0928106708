"""Tiers as a person would write them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from locant_slo import burn
from locant_slo.durations import format_duration
from locant_slo.tiers import SHORTEST_FITTED_SECONDS, Tier, fitted_tiers


def written(tier: Tier) -> dict[str, object]:
    """The content of one entry of `alerting.tiers`."""
    return {
        "name": tier.name,
        "severity": tier.severity,
        "budget": plain(tier.budget),
        "long": format_duration(tier.long),
        "short": format_duration(tier.short),
        "hold": format_duration(tier.hold),
    }


def plain(number: Decimal) -> float | str:
    """A number as YAML has it; as text where a float would lose digits."""
    near = float(number)
    return near if Decimal(str(near)) == number else f"{number:f}"


def are_usual(tiers: Sequence[dict[str, object]], window_seconds: int) -> bool:
    """Whether these are the tiers that an objective has when nobody writes any."""
    if window_seconds < SHORTEST_FITTED_SECONDS:
        return False
    usual = fitted_tiers(window_seconds)
    mine = [Tier.model_validate(tier) for tier in tiers]
    return [_compared(tier, window_seconds) for tier in mine] == [_compared(tier, window_seconds) for tier in usual]


def _compared(tier: Tier, window_seconds: int) -> tuple[object, ...]:
    """By the factor and not by the budget, whose last digit is a rounding."""
    factor = round(burn.factor(tier, window_seconds), 9)
    return tier.name, tier.severity, factor, tier.long, tier.short, tier.hold
