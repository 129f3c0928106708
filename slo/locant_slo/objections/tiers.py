"""Tiers that could never fire, would fire for nothing, or look at too little."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_UP, Decimal

from locant_slo import burn
from locant_slo.durations import format_duration
from locant_slo.objections.said import Diagnostic, error
from locant_slo.spec import Objective, Spec, Tier

MINIMUM_SCRAPES = 4
"""Scrapes that a window must span: with two, one lost scrape leaves no rate at all."""


def about_tiers(spec: Spec, objective: Objective, path: str) -> Iterator[Diagnostic]:
    """What stands against the tiers of an objective."""
    seen: dict[str, int] = {}
    for index, tier in enumerate(objective.alerting.tiers):
        where = f"{path}.alerting.tiers[{index}]"
        if tier.name in seen:
            yield error(f"{where}.name", f"{tier.name!r} is the name of tiers[{seen[tier.name]}] too; rename one")
        seen.setdefault(tier.name, index)
        yield from _tier(spec, objective, tier, where)


def _tier(spec: Spec, objective: Objective, tier: Tier, path: str) -> Iterator[Diagnostic]:
    factor = burn.factor(tier, objective.window)
    threshold = burn.threshold(tier, objective.target, objective.window)
    window = format_duration(objective.window)
    if threshold >= 1:
        yield error(
            path,
            f"tier {tier.name} can never fire: {factor:.4g} times the budget of {objective.target} over {window} is an "
            f"error ratio of {threshold:.4g}; lower its budget, or lengthen long",
        )
    if factor < 1:
        yield error(
            path,
            f"tier {tier.name} fires while the budget lasts: its factor is {factor:.4g}; {_slower(tier, objective)}",
        )
    yield from _short(spec, objective, tier, f"{path}.short")


def _slower(tier: Tier, objective: Objective) -> str:
    share = Decimal(tier.long) / objective.window
    if share >= 1:
        return f"make long shorter than the window of {format_duration(objective.window)}"
    return f"raise its budget to {share.quantize(Decimal('0.001'), ROUND_UP)}, shorten long, or lengthen the window"


def _short(spec: Spec, objective: Objective, tier: Tier, path: str) -> Iterator[Diagnostic]:
    short = format_duration(tier.short)
    every, looks = spec.scrape_interval, "scrapes"
    if objective.indicator.prepared_every > every:
        every, looks = objective.indicator.prepared_every, "slices"
    if tier.short >= tier.long:
        yield error(path, f"{short} is not shorter than long, {format_duration(tier.long)}; a twelfth of it is usual")
    if tier.short < MINIMUM_SCRAPES * every:
        yield error(
            path,
            f"{short} spans fewer than {MINIMUM_SCRAPES} {looks} of {format_duration(every)}; "
            f"make it {format_duration(MINIMUM_SCRAPES * every)} or longer",
        )
