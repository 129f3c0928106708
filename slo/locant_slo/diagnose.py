"""What is wrong or doubtful in a spec whose shape is right: rules that could never fire, or fire for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Literal

from locant_slo import burn, names
from locant_slo.catalogue import labels
from locant_slo.durations import format_duration
from locant_slo.indicators.by_id import BuiltIn
from locant_slo.spec import Objective, Spec, Tier

MINIMUM_SCRAPES = 4
"""Scrapes that a window must span: with two, one lost scrape leaves no rate at all."""

RESERVED_LABELS = frozenset(
    {names.SLO, names.SERVICE, names.TEAM, names.TIER, names.SEVERITY, names.LONG_WINDOW, names.SHORT_WINDOW}
    | {names.WINDOW, names.TARGET, names.FAULT, names.CAUSE, "alertname", "alertstate"}
    | {
        label.name
        for label in (labels.MODEL, labels.MODEL_VERSION, labels.INDICATOR, labels.FAILURE_MODE, labels.CHECK)
    }
)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to say about a spec: where (file and path), how bad, and a sentence with the cure."""

    path: str
    severity: Literal["error", "warning"]
    sentence: str


def diagnose(spec: Spec, source: str) -> tuple[Diagnostic, ...]:
    """Everything that stands against `spec`, errors and warnings, in the order of the file."""
    found = [*_service(spec), *_names(spec.objectives)]
    for index, objective in enumerate(spec.objectives):
        found += _objective(spec, objective, f"objectives[{index}]")
    return tuple(Diagnostic(f"{source}: {item.path}", item.severity, item.sentence) for item in found)


def _error(path: str, sentence: str) -> Diagnostic:
    return Diagnostic(path, "error", sentence)


def _warning(path: str, sentence: str) -> Diagnostic:
    return Diagnostic(path, "warning", sentence)


def _service(spec: Spec) -> Iterator[Diagnostic]:
    yield from _reserved(spec.labels, "labels")
    yield from _addresses(spec)
    for name, value in spec.selector.items():
        if value.startswith(("~", "!")) or not value:
            yield _error(f"selector.{name}", f"{value!r} is no plain value; write the value that each series carries")
    longest = burn.BASE_WINDOW_SECONDS // MINIMUM_SCRAPES
    if spec.scrape_interval > longest:
        yield _error(
            "scrape_interval",
            f"{format_duration(spec.scrape_interval)} is too rare: counts are kept in steps of "
            f"{format_duration(burn.BASE_WINDOW_SECONDS)} and need {MINIMUM_SCRAPES} scrapes each; "
            f"scrape every {format_duration(longest)} or more often",
        )


def _addresses(spec: Spec) -> Iterator[Diagnostic]:
    addresses = {
        "runbook_url": spec.runbook_url,
        "routing.page": spec.routing.page,
        "routing.ticket": spec.routing.ticket,
    }
    for path, address in addresses.items():
        if not address.startswith(("http://", "https://")):
            yield _error(path, f"{address!r} is no web address; begin it with https:// or http://")


def _reserved(mapping: Mapping[str, str], path: str) -> Iterator[Diagnostic]:
    for name in mapping:
        if name in RESERVED_LABELS or name.startswith("__"):
            yield _error(f"{path}.{name}", f"the label {name} is set by Locant or Prometheus; choose another name")


def _names(objectives: Iterable[Objective]) -> Iterator[Diagnostic]:
    seen: dict[str, str] = {}
    for index, objective in enumerate(objectives):
        alert = names.camel(objective.name)
        if alert in seen:
            yield _error(
                f"objectives[{index}].name",
                f"{objective.name!r} names the same alerts as {seen[alert]!r}; give each objective its own name",
            )
        seen.setdefault(alert, objective.name)


def _objective(spec: Spec, objective: Objective, path: str) -> Iterator[Diagnostic]:
    yield from _reserved(objective.labels, f"{path}.labels")
    for field, sentence in objective.indicator.doubts():
        yield _warning(f"{path}.indicator.{field}", sentence)
    if objective.window > spec.retention:
        yield _warning(
            f"{path}.window",
            f"{format_duration(objective.window)} is longer than Prometheus keeps data "
            f"({format_duration(spec.retention)}), so the budget would silently cover less; raise "
            "--storage.tsdb.retention.time and say so in retention",
        )
    if not objective.alerting.enabled:
        return
    if isinstance(objective.indicator, BuiltIn) and objective.indicator.entry.objective is None:
        yield _warning(
            f"{path}.indicator",
            f"{objective.indicator.id} informs and is no promise to users; set alerting.enabled: false or expect noise",
        )
    tiers: dict[str, int] = {}
    for index, tier in enumerate(objective.alerting.tiers):
        where = f"{path}.alerting.tiers[{index}]"
        if tier.name in tiers:
            yield _error(f"{where}.name", f"{tier.name!r} is the name of tiers[{tiers[tier.name]}] too; rename one")
        tiers.setdefault(tier.name, index)
        yield from _tier(spec, objective, tier, where)


def _tier(spec: Spec, objective: Objective, tier: Tier, path: str) -> Iterator[Diagnostic]:
    factor = burn.factor(tier, objective.window)
    threshold = burn.threshold(tier, objective.target, objective.window)
    window = format_duration(objective.window)
    if threshold >= 1:
        yield _error(
            path,
            f"tier {tier.name} can never fire: {factor:.4g} times the budget of {objective.target} over {window} is an "
            f"error ratio of {threshold:.4g}; lower its budget, or lengthen long",
        )
    if factor < 1:
        yield _error(
            path,
            f"tier {tier.name} fires while the budget lasts: its factor is {factor:.4g}; {_slower(tier, objective)}",
        )
    yield from _short(spec, tier, f"{path}.short")


def _slower(tier: Tier, objective: Objective) -> str:
    share = Decimal(tier.long) / objective.window
    if share >= 1:
        return f"make long shorter than the window of {format_duration(objective.window)}"
    return f"raise its budget to {share.quantize(Decimal('0.001'), ROUND_UP)}, shorten long, or lengthen the window"


def _short(spec: Spec, tier: Tier, path: str) -> Iterator[Diagnostic]:
    short, least = format_duration(tier.short), MINIMUM_SCRAPES * spec.scrape_interval
    if tier.short >= tier.long:
        yield _error(path, f"{short} is not shorter than long, {format_duration(tier.long)}; a twelfth of it is usual")
    if tier.short < least:
        yield _error(
            path,
            f"{short} spans fewer than {MINIMUM_SCRAPES} scrapes of {format_duration(spec.scrape_interval)}; "
            f"make it {format_duration(least)} or longer",
        )
