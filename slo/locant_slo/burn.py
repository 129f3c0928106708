"""Burn-rate arithmetic in decimals: factors, thresholds, detection times, and which windows are recorded.

Source: Google SRE Workbook, chapter 5. Floats would print 0.0009999999999999432 for 0.001 and move a threshold.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal

from locant_slo.spec import Objective, Tier

BASE_WINDOW_SECONDS = 300
"""The window whose counts are always recorded; longer sums are made of it."""
_ROUND = Context(prec=20)
"""A budget such as 0.0214285714… carries 28 digits; its factor is 14.4 again, and not 14.39999."""
_DEFAULT_BURN_RATE_WINDOW_SECONDS = 3_600


def factor(tier: Tier, window: int) -> Decimal:
    """How many times faster than sustainable an SLO of `window` seconds burns when `tier` is reached."""
    return _ROUND.plus(tier.budget * window / tier.long)


def threshold(tier: Tier, target: Decimal, window: int) -> Decimal:
    """The error ratio above which `tier` fires: its factor times the error budget."""
    return factor(tier, window) * (1 - target)


def minimum_events(tier: Tier, target: Decimal, window: int) -> int:
    """The fewest events in a window with which one bad event stays at or below the tier's threshold."""
    return int((1 / threshold(tier, target, window)).to_integral_value(ROUND_CEILING))


def detection_seconds(tier: Tier, target: Decimal, window: int, error_ratio: Decimal) -> Decimal | None:
    """Seconds from a clean start at a steady `error_ratio` until `tier` fires, its hold included; None: it never does.

    The long window must fill to the threshold: threshold × long ÷ error ratio, under even traffic.
    """
    if error_ratio <= threshold(tier, target, window):
        return None
    return threshold(tier, target, window) * tier.long / error_ratio + tier.hold


def budget_spent_at_detection(tier: Tier, window: int) -> Decimal:
    """Share of the error budget gone when the long window reaches the threshold: the tier's own budget."""
    return factor(tier, window) * tier.long / window


def recorded_windows(objective: Objective) -> tuple[int, ...]:
    """Every rolling window in seconds for which counts and the error ratio are recorded, shortest first."""
    tiers = objective.alerting.tiers if objective.alerting.enabled else ()
    ends = {seconds for tier in tiers for seconds in (tier.short, tier.long)}
    promised = {objective.window} if objective.calendar is None else set()
    return tuple(sorted(ends | {BASE_WINDOW_SECONDS, burn_rate_window(objective)} | promised))


def burn_rate_window(objective: Objective) -> int:
    """The window in seconds behind the recorded burn rate: the shortest long window of the tiers, or one hour."""
    tiers = objective.alerting.tiers if objective.alerting.enabled else ()
    return min((tier.long for tier in tiers), default=_DEFAULT_BURN_RATE_WINDOW_SECONDS)
