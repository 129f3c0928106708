"""What does not count: maintenance, and the quiet after a release."""

from __future__ import annotations

from collections.abc import Mapping

from locant_slo import burn, names, promql
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Spec

_ALMOST_NOTHING = "0.000001"
_BASE = format_duration(burn.BASE_WINDOW_SECONDS)


def excludes(spec: Spec) -> bool:
    """Whether anything is ever excluded."""
    return bool(spec.maintenance) or spec.deploys is not None


def masked(spec: Spec, objective: Objective, operator: str, left: str) -> tuple[str, ...]:
    """`left` kept (`and`) or dropped (`unless`) while it is excluded, once for each reason.

    Five minutes more at the end: until then the base counts still hold what happened before it.
    """
    found = []
    if spec.maintenance:
        found.append(f"{left} {operator} on () {_maintained(spec)}")
    if spec.deploys is not None:
        who = {names.SERVICE: spec.service}
        shared = tuple(label for label in spec.deploys.by if label in objective.group)
        deploy = f"max_over_time({promql.selector(names.DEPLOY, who, window=_BASE)})"
        found.append(f"{left} {operator} {promql.matching(shared)} {deploy}")
    return tuple(found)


def unless_maintained(spec: Spec, expr: str) -> str:
    """A condition on a whole service, silent during its maintenance."""
    return f"{expr}\nunless on () {_maintained(spec)}" if spec.maintenance else expr


def _maintained(spec: Spec) -> str:
    return f"max_over_time({promql.selector(names.MAINTENANCE, {names.SERVICE: spec.service}, window=_BASE)})"


def unless_excluded(spec: Spec, objective: Objective, expr: str) -> str:
    """An alert's condition, silent while its events do not count."""
    for reason in masked(spec, objective, "unless", ""):
        expr = f"{expr}\n{reason.lstrip()}"
    return expr


def without_excluded(
    objective: Objective, which: Mapping[str, str], window: int, bad: str, everything: str
) -> tuple[str, str]:
    """Bad and all events of a window less the excluded ones."""
    return (
        _kept(objective, which, window, bad, (names.EXCLUDED_BAD, names.BAD_INCREASE)),
        _kept(objective, which, window, everything, (names.EXCLUDED_EVENTS, names.EVENTS_INCREASE)),
    )


def _kept(objective: Objective, which: Mapping[str, str], window: int, counted: str, recorded: tuple[str, str]) -> str:
    """By the share that was excluded of the recorded counts: missed evaluations leave a share as it is."""
    over = format_duration(window)
    excluded, base = (
        f"sum_over_time({promql.selector(name.format(window=_BASE), which, window=over)})" for name in recorded
    )
    kept = f"1 - {excluded} / clamp_min({base}, {_ALMOST_NOTHING})"
    return f"({counted}) * {promql.matching(objective.group)} ({kept})"
