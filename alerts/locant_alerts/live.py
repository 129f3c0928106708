"""A spec against the series that a Prometheus really has: buckets, counters, groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from locant_alerts.history.api import RefusedError
from locant_slo import burn, promql
from locant_slo.counts import scope_of
from locant_slo.expression import narrowed, selectors, suffixed, the_selector
from locant_slo.indicators.events import Events
from locant_slo.indicators.latency import Latency, spellings
from locant_slo.indicators.native_latency import NativeLatency
from locant_slo.objections.said import Diagnostic, error, warning
from locant_slo.spec import Objective, Spec

Ask = Callable[[str], Sequence[Mapping[str, str]]]
"""The labels of every sample of an instant query."""


def live_objections(spec: Spec, ask: Ask) -> tuple[Diagnostic, ...]:
    """What the series that exist now say against a spec."""
    found: list[Diagnostic] = []
    for index, objective in enumerate(spec.objectives):
        path = f"{spec.place(index)}.indicator"
        indicator = objective.indicator
        if isinstance(indicator, Latency):
            found += _bucket(spec, objective, indicator, f"{path}.le", ask)
        else:
            found += _missing(spec, objective, path, ask)
        if isinstance(indicator, Events):
            found += _strangers(spec, objective, indicator, path, ask)
        if isinstance(indicator, NativeLatency):
            found += _native(spec, objective, indicator, path, ask)
    return tuple(found)


def _missing(spec: Spec, objective: Objective, path: str, ask: Ask) -> Iterator[Diagnostic]:
    for field, text in objective.indicator.texts().items():
        for selector in selectors(text):
            alone = narrowed(text[selector.start : selector.end], scope_of(spec, objective).matchers)
            if not ask(f"count({alone})"):
                yield warning(f"{path}.{field}", f"no series of {alone} exists now; check its labels, or wait for it")


def _bucket(spec: Spec, objective: Objective, indicator: Latency, path: str, ask: Ask) -> Iterator[Diagnostic]:
    selector = the_selector(indicator.histogram)
    assert selector is not None  # the field's own check
    buckets = narrowed(suffixed(indicator.histogram, "_bucket"), scope_of(spec, objective).matchers)
    bounds = [labels.get("le", "") for labels in ask(f"count by (le) ({buckets})")]
    if not bounds:
        yield warning(path, f"no series of {buckets} exists now; check its labels, or wait for it")
    elif not set(bounds) & set(spellings(indicator.le)):
        shown = ", ".join(sorted(bounds, key=float))
        yield error(path, f"{promql.number(indicator.le)} is no bound of {selector.name}; its buckets are {shown}")


def _native(spec: Spec, objective: Objective, indicator: NativeLatency, path: str, ask: Ask) -> Iterator[Diagnostic]:
    """VictoriaMetrics, for one, has no native histograms, and would refuse the rule file as a whole."""
    try:
        ask(f"count({indicator.count_bad(burn.BASE_WINDOW_SECONDS, scope_of(spec, objective))})")
    except RefusedError as refusal:
        yield error(path, f"this server does not know native histograms; use kind latency with a bucket ({refusal})")


def _strangers(spec: Spec, objective: Objective, indicator: Events, path: str, ask: Ask) -> Iterator[Diagnostic]:
    """Groups whose part is counted and whose total is not: they can never have a ratio."""
    if indicator.total is None or not objective.group:
        return
    by, matchers = promql.grouping(objective.group), scope_of(spec, objective).matchers
    for field in ("good", "bad"):
        text = getattr(indicator, field)
        if text is None or the_selector(text) is None or the_selector(indicator.total) is None:
            continue
        part, total = narrowed(text, matchers), narrowed(indicator.total, matchers)
        for labels in ask(f"count {by} ({part}) unless count {by} ({total})"):
            group = ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "without labels"
            yield error(f"{path}.{field}", f"the group {group} is counted here and has no total; make both alike")
