"""Windows that reach further than data is kept, and stretches that exclude too much."""

from __future__ import annotations

from collections.abc import Iterator

from locant_slo import burn
from locant_slo.durations import format_duration
from locant_slo.objections.said import Diagnostic, error, warning
from locant_slo.objections.tiers import MINIMUM_SCRAPES
from locant_slo.spec import Objective, Spec
from locant_slo.times import Weekly


def about_service(spec: Spec) -> Iterator[Diagnostic]:
    """What stands against the stretches of time that a service names."""
    seen: dict[str, str] = {}
    stretches = [(f"maintenance[{index}]", item) for index, item in enumerate(spec.maintenance)]
    stretches += [(f"routing.mute[{index}]", item) for index, item in enumerate(spec.routing.mute)]
    for path, item in stretches:
        if item.name in seen:
            yield error(f"{path}.name", f"{item.name!r} is the name of {seen[item.name]} too; rename one")
        seen.setdefault(item.name, path)
        if isinstance(item, Weekly) and item.lasts > 86_400 and len(item.days) > 1:
            yield warning(f"{path}.lasts", f"{format_duration(item.lasts)} is longer than a day, so days overlap")


def about_objective(spec: Spec, objective: Objective, path: str) -> Iterator[Diagnostic]:
    """What stands against an objective's window, and against how its events are looked at."""
    longest = objective.longest_window
    if longest > spec.retention:
        yield warning(
            f"{path}.window" if objective.calendar is None else f"{path}.calendar",
            f"{format_duration(longest)} is longer than Prometheus keeps data "
            f"({format_duration(spec.retention)}), so the budget would silently cover less; raise "
            "--storage.tsdb.retention.time and say so in retention",
        )
    every = objective.indicator.prepared_every
    most = burn.BASE_WINDOW_SECONDS // MINIMUM_SCRAPES
    if every > most:
        yield error(
            f"{path}.indicator.slice",
            f"{format_duration(every)} is too rare: counts are kept in steps of "
            f"{format_duration(burn.BASE_WINDOW_SECONDS)} and need {MINIMUM_SCRAPES} slices each; "
            f"make it {format_duration(most)} or shorter",
        )
    if 0 < every < spec.scrape_interval:
        yield warning(
            f"{path}.indicator.slice",
            f"{format_duration(every)} is shorter than scrape_interval, so one sample counts for several slices",
        )
    if spec.deploys is not None and objective.group and not set(spec.deploys.by) & set(objective.group):
        yield warning(
            f"{path}.group_by",
            f"it has none of deploys.by ({', '.join(spec.deploys.by)}), so any release quiets all its groups",
        )
