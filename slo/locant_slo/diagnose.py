"""What is wrong or doubtful in a spec whose shape is right: rules that could never fire, or fire for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from locant_slo import burn, names
from locant_slo.durations import format_duration
from locant_slo.indicators.by_id import BuiltIn
from locant_slo.objections import groups, times, versions
from locant_slo.objections.groups import RESERVED_LABELS
from locant_slo.objections.said import Diagnostic, error, warning
from locant_slo.objections.tiers import MINIMUM_SCRAPES, about_tiers
from locant_slo.spec import Objective, Spec

__all__ = ["MINIMUM_SCRAPES", "RESERVED_LABELS", "Diagnostic", "diagnose"]


def diagnose(spec: Spec, source: str) -> tuple[Diagnostic, ...]:
    """Everything that stands against `spec`, errors and warnings, in the order of the file."""
    found = [*_service(spec), *_names(spec)]
    for index, objective in enumerate(spec.objectives):
        found += _objective(spec, objective, spec.place(index))
    return tuple(Diagnostic(f"{source}: {item.path}", item.severity, item.sentence) for item in found)


def _service(spec: Spec) -> Iterator[Diagnostic]:
    yield from groups.reserved(spec.labels, "labels")
    yield from _addresses(spec)
    yield from groups.plain(spec.selector, "selector")
    yield from versions.about_service(spec)
    yield from times.about_service(spec)
    longest = burn.BASE_WINDOW_SECONDS // MINIMUM_SCRAPES
    if spec.scrape_interval > longest:
        yield error(
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
        if not _is_web_address(address):
            yield error(path, f"{address!r} is no web address; write it as in https://host/path")


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # half of an IPv6 address
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and text.isprintable() and " " not in text


def _names(spec: Spec) -> Iterable[Diagnostic]:
    seen: dict[str, str] = {}
    for index, objective in enumerate(spec.objectives):
        alert = names.camel(objective.name)
        if alert in seen:
            yield error(
                f"{spec.place(index)}.name",
                f"{objective.name!r} names the same alerts as {seen[alert]!r}; give each objective its own name",
            )
        seen.setdefault(alert, objective.name)


def _objective(spec: Spec, objective: Objective, path: str) -> Iterator[Diagnostic]:
    yield from groups.about_objective(spec, objective, path)
    yield from versions.about_objective(spec, objective, path)
    yield from (warning(f"{path}.indicator.{field}", text) for field, text in objective.indicator.doubts())
    yield from times.about_objective(spec, objective, path)
    if isinstance(objective.indicator, BuiltIn) and not spec.probe:
        yield error(
            f"{path}.indicator",
            f"{objective.indicator.id} is counted by Locant's agent, and probe says that there is none; drop probe",
        )
    if not objective.alerting.enabled:
        return
    if isinstance(objective.indicator, BuiltIn) and objective.indicator.entry.objective is None:
        yield warning(
            f"{path}.indicator",
            f"{objective.indicator.id} informs and is no promise to users; set alerting.enabled: false or expect noise",
        )
    yield from about_tiers(spec, objective, path)
