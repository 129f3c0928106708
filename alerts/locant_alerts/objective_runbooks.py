"""A runbook for each objective that alerts: its own numbers and queries around what is true for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from locant_alerts.markdown import table
from locant_alerts.runbooks import runbooks
from locant_alerts.series import number, recorded
from locant_slo import burn, names
from locant_slo.counts import scope_of
from locant_slo.durations import format_duration, spoken_duration
from locant_slo.spec import Objective, Spec, Tier

_HOUR_SECONDS = 3_600
_PAGES: Mapping[str, str] = {
    "padding_attention": "padding_leakage",
    "streaming_chunks": "streaming_state",
    "latency_per_token": "resource_regression",
    "memory_per_sequence": "resource_regression",
    "length_drift": "length_overflow",
    "position_anomaly": "crafted_input",
}
"""Where an indicator's usual causes are told; positional faults have pages of their own in any case."""


def objective_runbook(spec: Spec, objective: Objective) -> str:
    """The name of an objective's page, without `.md`."""
    return f"{spec.service}-{objective.name}"


def has_own_page(spec: Spec) -> bool:
    """Whether annotations point to the generated pages: they do where the spec says where its runbooks are read."""
    return bool(spec.runbook_url != Spec.model_fields["runbook_url"].default)


def objective_runbooks(spec: Spec) -> dict[str, str]:
    """File name to Markdown text, for every objective that alerts."""
    common = _chapters(runbooks()[f"{names.BURN_RUNBOOK}.md"])
    return {
        f"{objective_runbook(spec, objective)}.md": _page(spec, objective, common)
        for objective in spec.objectives
        if objective.alerting.enabled
    }


def _page(spec: Spec, objective: Objective, common: Mapping[str, str]) -> str:
    alert = names.BURN_ALERT.format(Slo=names.camel(objective.name))
    own = {
        "What it means": _promise(objective),
        "Is it real?": _queries(spec, objective),
        "First five minutes": _first(objective),
    }
    parts = [f"# {alert}: {objective.name} of {spec.service}"]
    for title, text in common.items():
        parts += [f"## {title}", *own.get(title, ()), text]
    return "\n\n".join(parts) + "\n"


def _chapters(text: str) -> dict[str, str]:
    """The chapters of a runbook by title, in order."""
    parts = re.split(r"^## (.+)\n", text, flags=re.M)
    return {title: body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def _promise(objective: Objective) -> Iterator[str]:
    event, bad = objective.indicator.event()
    window = f"a {objective.calendar.period}" if objective.calendar else format_duration(objective.window)
    said = f"{objective.description} " if objective.description else ""
    share = number(objective.target * 100)
    yield f"{said}Promised: {share} % good over {window}. An event is {event}; it is bad when {bad}."
    head = ("tier", "severity", "error ratio above", "over", "fires with", "budget gone by then", "all of it gone in")
    yield table(head, [_tier(objective, tier) for tier in objective.alerting.tiers])


def _tier(objective: Objective, tier: Tier) -> tuple[str, ...]:
    return (
        tier.name,
        tier.severity,
        f"{number(burn.threshold(tier, objective.target, objective.window) * 100)} %",
        f"{format_duration(tier.long)} and {format_duration(tier.short)}",
        f"{objective.alerting.minimum_bad_events} bad events or more",
        f"{number(round(burn.budget_spent_at_detection(tier, objective.window) * 100, 2))} %",
        spoken_duration(float(objective.window / burn.factor(tier, objective.window))),
    )


def _queries(spec: Spec, objective: Objective) -> Iterator[str]:
    scope, indicator = scope_of(spec, objective), objective.indicator
    bad, events = indicator.count_bad(_HOUR_SECONDS, scope), indicator.count_all(_HOUR_SECONDS, scope)
    window = burn.burn_rate_window(objective)
    recorded_ratio = recorded(names.ERROR_RATIO, spec, objective, window)
    yield "Bad events and all events of the last hour, grouped as the alert is, and the ratio as it is recorded:"
    yield f"```promql\n{bad}\n```"
    yield f"```promql\n{events}\n```"
    yield f"```promql\n{recorded_ratio}\n```"


def _first(objective: Objective) -> Iterator[str]:
    page = _PAGES.get(objective.indicator.id)
    if page is not None:
        yield f"Usually it is one of what stands in [{page}]({page}.md)."
