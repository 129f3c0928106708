"""Labels: those that Locant or Prometheus set, and those that an objective is grouped by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from locant_slo import names
from locant_slo.catalogue import labels
from locant_slo.objections.said import Diagnostic, error
from locant_slo.spec import Objective, Spec

_SET = frozenset(
    {names.SLO, names.SERVICE, names.TEAM, names.TIER, names.SEVERITY, names.LONG_WINDOW, names.SHORT_WINDOW}
    | {names.WINDOW, names.TARGET, names.FAULT, names.CAUSE, names.SIMILARITY, names.TIME_ZONE, names.PERIOD}
    | {names.CALENDAR, names.STRETCH, labels.INDICATOR.name, "alertname", "alertstate"}
)
"""Labels of our series and alerts. A group by one of them would be overwritten."""
RESERVED_LABELS = _SET | frozenset(
    label.name for label in (labels.MODEL, labels.MODEL_VERSION, labels.FAILURE_MODE, labels.CHECK)
)
"""And those that built-in indicators are grouped by: a fixed value would hide theirs."""


def reserved(mapping: Mapping[str, str], path: str) -> Iterator[Diagnostic]:
    """Static labels that would overwrite one of ours."""
    for name in mapping:
        if name in RESERVED_LABELS or name.startswith("__"):
            yield error(f"{path}.{name}", f"the label {name} is set by Locant or Prometheus; choose another name")


def plain(selector: Mapping[str, str], path: str) -> Iterator[Diagnostic]:
    """Values of a selector that are no values."""
    for name, value in selector.items():
        if value.startswith(("~", "!")) or not value:
            yield error(f"{path}.{name}", f"{value!r} is no plain value; write the value that each series carries")


def about_objective(spec: Spec, objective: Objective, path: str) -> Iterator[Diagnostic]:
    """What an objective says about its labels."""
    yield from reserved(objective.labels, f"{path}.labels")
    yield from plain(objective.selector, f"{path}.selector")
    for index, name in enumerate(objective.group_by or ()):
        where = f"{path}.group_by[{index}]"
        if name in _SET or name == "le" or name.startswith("__"):
            yield error(where, f"the label {name} is set by Locant or Prometheus and cannot tell groups apart")
        if name in objective.labels or name in spec.labels:
            yield error(where, f"{name} also stands in labels, whose one value would hide every group's; keep one")
        if name in objective.indicator.telling():
            yield error(where, f"{name} tells bad events from good ones, so a group would be all of one kind; drop it")
        if (objective.group_by or ()).index(name) != index:
            yield error(where, f"{name} stands there twice; keep one")
    for index, name in enumerate(objective.similar):
        if name not in objective.group:
            yield error(
                f"{path}.similar[{index}]",
                f"{name} is no label of the group ({', '.join(objective.group) or 'it has none'}); add it to group_by",
            )
