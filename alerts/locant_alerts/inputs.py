"""The input series that tell a story to an objective: those of its indicator, or its recorded counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate

from locant_alerts.scenario import steps, subject
from locant_alerts.series import identity
from locant_alerts.timeline import Sample, Timeline, notation
from locant_slo import burn, names, promql
from locant_slo.counts import LONGEST_RAW_SECONDS, scope_of
from locant_slo.durations import format_duration
from locant_slo.indicators.counting import Input
from locant_slo.spec import Objective, Spec

_PROCESS = ("instance", "pod", "process", "replica", "worker", "shard", "host", "node", "task", "member")
"""What may tell processes apart: the first that an objective does not use itself."""
Series = tuple[str, str]
"""A series and its samples in promtool's notation."""


def told(
    spec: Spec,
    objective: Objective,
    pods: Sequence[Timeline],
    step: int,
    *,
    bad_known: bool = True,
    other: Mapping[str, str] | None = None,
) -> tuple[Series, ...]:
    """The series of these processes. `bad_known` False: bad events have no series. `other`: values of another group."""
    who = {**subject(objective), **(other or {})}
    inputs = objective.indicator.inputs()
    if not inputs:
        return tuple(_recorded(spec, objective, pods, step, who))
    process = next(name for name in _PROCESS if name not in {*objective.group, *fixed(spec, objective)})
    return tuple(
        (_series(spec, objective, source, {**who, process: name}), notation(samples))
        for source in inputs
        if bad_known or source.share != "bad"
        for pod in pods
        for name, samples in _samples(source, pod)
    )


def fixed(spec: Spec, objective: Objective) -> dict[str, str]:
    """Labels whose values the objective's own selectors decide; none where recorded counts are told."""
    inputs = objective.indicator.inputs()
    told_of = {name: value for source in inputs for name, value in source.labels.items()}
    return {**told_of, **scope_of(spec, objective).matchers} if inputs else {}


def telling_apart(spec: Spec, objective: Objective, group: Sequence[str]) -> str | None:
    """A label of the group that may have any value, so that another group can stand beside; None where none may."""
    decided = fixed(spec, objective)
    return next((name for name in group if name not in decided), None)


def is_opaque(objective: Objective) -> bool:
    """Whether only the recorded counts can be made, for lack of series that the indicator would count."""
    return not objective.indicator.inputs()


def _samples(source: Input, pod: Timeline) -> Iterator[tuple[str, list[Sample]]]:
    """The samples of each process that tells the story: a gauge tells of one event at a time, so there are several."""
    if source.held is None or source.broken is None:
        yield pod.pod, pod.counter(source.share)
        return
    for index, samples in enumerate(pod.gauges(source.held, source.broken)):
        yield f"{pod.pod}-{index}", samples


def _series(spec: Spec, objective: Objective, source: Input, who: Mapping[str, str]) -> str:
    more = {**who, **scope_of(spec, objective).matchers}
    labels = {**source.labels, **{name: value for name, value in more.items() if name not in source.labels}}
    return promql.selector(source.metric, {label: _plain(value) for label, value in labels.items()})


def _plain(value: str) -> str:
    """A value that `promql.matcher` would take for an operator cannot stand in a generated series."""
    return value.lstrip("~!")


def _recorded(
    spec: Spec, objective: Objective, pods: Sequence[Timeline], step: int, who: Mapping[str, str]
) -> Iterator[Series]:
    """The counts of every window whose rule does not sum the recorded base counts, exact."""
    rows = [list(pod.steps()) for pod in pods]
    events = [sum(0 if run.gone else run.events for run in runs) for runs in zip(*rows, strict=True)]
    bad = [sum((Decimal(0) if run.gone else run.bad for run in runs), Decimal(0)) for runs in zip(*rows, strict=True)]
    there = [True, *(any(not run.gone for run in runs) for runs in zip(*rows, strict=True))]
    labels = {**who, **identity(spec, objective)}
    for window in burn.recorded_windows(objective):
        if window > LONGEST_RAW_SECONDS and not objective.indicator.sums_itself:
            continue
        for name, counts in ((names.BAD_INCREASE, bad), (names.EVENTS_INCREASE, events)):
            full = name.format(window=format_duration(window))
            sums = _windowed([Decimal(count) for count in counts], steps(window, step))
            samples = [value if here else None for value, here in zip(sums, there, strict=True)]
            yield promql.selector(full, labels), notation(samples)


def _windowed(counts: Sequence[Decimal], width: int) -> list[Decimal]:
    """At each step, the sum of the last `width` counts; step 0 stands before the first."""
    sums = [Decimal(0), *accumulate(counts)]
    return [total - sums[max(0, at - width)] for at, total in enumerate(sums)]
