"""An objective's two counts as queries for other programs, with `{{.window}}` where the window belongs."""

from __future__ import annotations

from locant_slo.counts import scope_of
from locant_slo.durations import format_duration
from locant_slo.expression import PLACE, narrowed
from locant_slo.indicators.ratio import Ratio
from locant_slo.spec import Objective, Spec

GO_WINDOW = "{{.window}}"
_STAND_IN_SECONDS = 86_399
"""No window that anybody would write: its text is replaced in the queries."""


def pair(spec: Spec, objective: Objective) -> tuple[str, str]:
    """Bad events and all events of a window; what is prepared is looked at in a subquery."""
    scope = scope_of(spec, objective)
    prepared = objective.indicator.prepared(scope)
    if prepared:
        every = format_duration(objective.indicator.prepared_every)
        (_, bad), (_, events) = prepared
        return f"sum_over_time(({bad})[{GO_WINDOW}:{every}])", f"sum_over_time(({events})[{GO_WINDOW}:{every}])"
    found = (
        objective.indicator.count_bad(_STAND_IN_SECONDS, scope),
        objective.indicator.count_all(_STAND_IN_SECONDS, scope),
    )
    bad, events = (text.replace(f"[{format_duration(_STAND_IN_SECONDS)}", f"[{GO_WINDOW}") for text in found)
    return bad, events


def ratio_of(spec: Spec, objective: Objective) -> tuple[str, str] | None:
    """The field and the text of a ratio that nothing weighs, narrowed to the service; None for everything else."""
    indicator = objective.indicator
    if not isinstance(indicator, Ratio) or indicator.weight is not None:
        return None
    ((field, text),) = indicator.texts().items()
    return field, templated(narrowed(text, scope_of(spec, objective).matchers))


def templated(text: str) -> str:
    """A user's own expression with the other programs' template."""
    return text.replace(f"[{PLACE}", f"[{GO_WINDOW}")
