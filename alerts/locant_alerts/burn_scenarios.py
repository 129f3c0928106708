"""Synthetic incidents for the burn-rate alerts, with the step at which each tier must fire by arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

from locant_alerts.inputs import fixed, is_opaque, telling_apart, told
from locant_alerts.scenario import Check, Scenario, firing, quiet, steps, subject
from locant_alerts.series import recorded
from locant_alerts.timeline import Run, Timeline
from locant_slo import burn, names, promql
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Spec, Tier

_CLEAN_STEPS = 40
_CALM_STEPS = 50
_LONGEST_CLEARING_STEPS = 90
_SIX_DIGITS = Context(prec=6)
_MARGIN = Decimal("0.005")
_SPEEDS = tuple(
    Decimal(percent) / 100
    for percent in (230, 270, 190, 170, 150, 310, 370, 430, 570, 130, 110, 105, 120, 140, 160, 180, 210, 125, 135, 145)
)


@dataclass(frozen=True, slots=True)
class Incident:
    """After a clean stretch, `error_ratio` of the events go bad; `crossing` steps on, the windows are over.

    `doubt`: how many steps earlier they may be over already, on another version of Prometheus or by rounding.
    """

    error_ratio: Decimal
    crossing: int
    doubt: int
    events_per_step: int


def incident(objective: Objective, tier: Tier, step: int) -> Incident:
    """The incident whose crossing of a tier's threshold is the clearest: between two steps if there is such a one."""
    limit = burn.threshold(tier, objective.target, objective.window)
    partly = () if objective.indicator.sums_itself else _SPEEDS
    ratios = [_SIX_DIGITS.multiply(limit, speed) for speed in partly if limit * speed < 1] + [Decimal(1)]
    long = steps(tier.long, step)
    found = ((ratio, *_crossing(limit, ratio, long)) for ratio in ratios)
    # a window that is not full yet proves nothing about its length; to fill a long one would take promtool too long
    fillable = long <= _LONGEST_CLEARING_STEPS
    ratio, earliest, latest = min(
        found, key=lambda item: (fillable and _CLEAN_STEPS + item[2] <= long, item[2] - item[1])
    )
    enough = (1 if objective.indicator.sums_itself else 10) * objective.alerting.minimum_bad_events
    return Incident(ratio, latest, latest - earliest, int(enough / ratio) + 1)


def _crossing(limit: Decimal, ratio: Decimal, long: int) -> tuple[int, int]:
    """The steps at which the long window, and so the short one, is over the limit: perhaps, and certainly.

    A window of so many steps holds one rise less on Prometheus 3, whose ranges leave out their first moment.
    """
    perhaps = None
    for after in range(1, long + 1):
        least, most = (ratio * after / min(width, _CLEAN_STEPS + after) / limit for width in (long, long - 1))
        perhaps = after if perhaps is None and most > 1 - _MARGIN else perhaps
        if least > 1 + _MARGIN:
            return perhaps or after, after
    return perhaps or long, long


def tier_scenario(spec: Spec, objective: Objective, tier: Tier, step: int) -> Scenario:
    """The tier fires at the step that the arithmetic says, not one before, and ends after the incident.

    Where the spec groups, a second group lives through it unharmed, and makes no second alert.
    """
    story = incident(objective, tier, step)
    fires = _CLEAN_STEPS + story.crossing + steps(tier.hold, step)
    over = fires + 5
    clears = over + steps(tier.short, step) + steps(objective.alerting.keep_firing_for, step) + 2
    last = clears if clears - over <= _LONGEST_CLEARING_STEPS else over
    events, bad = story.events_per_step, story.error_ratio * story.events_per_step
    alert, who = _alert(objective), {**_who(spec, objective), names.TIER: tier.name}
    checks = (quiet(fires - story.doubt - 1, alert, who), firing(fires, alert, who), firing(over, alert, who))
    ended = (quiet(clears, alert, who),) if last == clears else ()
    runs = (Run(_CLEAN_STEPS, events), Run(over - _CLEAN_STEPS, events, bad), Run(last - over, events))
    series = told(spec, objective, [Timeline(runs)], step)
    if apart := telling_apart(spec, objective, objective.group_by or ()):
        series += told(spec, objective, [Timeline((Run(last, events),))], step, other={apart: "unharmed"})
    return Scenario(f"{objective.name}: tier {tier.name}", series, (*checks, *ended))


def calm_scenarios(spec: Spec, objective: Objective, step: int) -> Iterator[Scenario]:
    """Life as it is, in which no burn-rate alert may fire."""
    last = _CALM_STEPS
    calm = quiet(last, _alert(objective), _who(spec, objective), over=format_duration(last * step))

    def scenario(name: str, pods: Sequence[Timeline], *checks: Check, bad_known: bool = True) -> Scenario:
        series = told(spec, objective, pods, step, bad_known=bad_known)
        return Scenario(f"{objective.name}: {name}", series, (calm, *checks))

    if objective.alerting.minimum_bad_events > 1:
        yield scenario("one bad event of two", [Timeline((Run(20), Run(1, 2, Decimal(1)), Run(last - 21)))])
    base = recorded(names.ERROR_RATIO, spec, objective, burn.BASE_WINDOW_SECONDS)
    budget = recorded(names.BUDGET_REMAINING, spec, objective)
    never_nan = (Check(f"count({budget} != {budget})", last), Check(f"count({budget})", last, (({}, 1),)))
    rest = steps(burn.BASE_WINDOW_SECONDS, step) + 10
    idle = Timeline((Run(10, 10), Run(rest), Run(last, 10)))
    yield scenario("idle, and never NaN", [idle], *never_nan, Check(f"count({base})", 10 + rest))
    pods = (
        Timeline((Run(25, 10), Run(26, 10, anew=True)), "restarted"),
        Timeline((Run(last, 10),), "steady", bad_before=3),
    )
    if not is_opaque(objective):
        yield scenario("a pod restarts and its counters begin anew", pods)
        no_errors = Check(f"sum({base})", last, (({}, 0),))
        yield scenario("no bad event was ever counted", [Timeline((Run(last, 10),))], no_errors, bad_known=False)


def no_data_scenarios(spec: Spec, objective: Objective, step: int) -> Iterator[Scenario]:
    """Nobody reports the indicator; and where the spec groups, one of the groups is gone."""
    if objective.alerting.no_data.action == "ignore":
        return
    alert, who = names.NO_DATA_ALERT.format(Slo=names.camel(objective.name)), _who(spec, objective)
    after = steps(objective.alerting.no_data.after, step)
    yield Scenario(f"{objective.name}: no data", (), (quiet(after - 1, alert, who), firing(after, alert, who)))
    apart = telling_apart(spec, objective, objective.budget_group if objective.group_by else ())
    if apart is None:
        return
    gone = {**who, names.CAUSE: "vanished", apart: "gone"}
    here, stale = 20, steps(2 * burn.BASE_WINDOW_SECONDS, step)
    last = here + stale + after + 2
    series = told(spec, objective, [Timeline((Run(last, 10),))], step) + told(
        spec,
        objective,
        [Timeline((Run(here, 10), Run(last - here, gone=True)))],
        step,
        other={apart: "gone"},
    )
    checks = (quiet(here + after - 1, alert, gone), firing(last, alert, gone))
    others = {**who, names.CAUSE: "vanished", apart: "tested"}
    yield Scenario(f"{objective.name}: one group is gone", series, (*checks, quiet(last, alert, others)))


def excluded_scenarios(spec: Spec, objective: Objective, step: int) -> Iterator[Scenario]:
    """What happens in maintenance, or in the quiet after a release, pages nobody and costs nothing.

    The stretch is told as its recorded series: promtool's clock begins in 1970, before any maintenance.
    """
    who = {names.SERVICE: spec.service}
    stretches = {}
    if spec.maintenance:
        stretches["maintenance"] = promql.selector(names.MAINTENANCE, who | {names.STRETCH: "tested"})
    if spec.deploys is not None:
        group = {**subject(objective), **fixed(spec, objective)}
        released = {name: group.get(name, "tested") for name in spec.deploys.by}
        stretches["the quiet after a release"] = promql.selector(names.DEPLOY, who | released)
    before, within, last = 20, 10, _CALM_STEPS
    bad = Run(within, 10 * objective.alerting.minimum_bad_events, Decimal(10 * objective.alerting.minimum_bad_events))
    runs = (Run(before, bad.events), bad, Run(last - before - within, bad.events))
    budget = recorded(names.BUDGET_REMAINING, spec, objective)
    for name, series in stretches.items():
        calm = quiet(last, _alert(objective), _who(spec, objective), over=format_duration(last * step))
        unspent = Check(f"sum({budget})", last, (({}, 1),))
        told_of = (*told(spec, objective, [Timeline(runs)], step), (series, f"_x{before} 1x{within} stale"))
        yield Scenario(f"{objective.name}: {name}", told_of, (calm, unspent))


def _alert(objective: Objective) -> str:
    return names.BURN_ALERT.format(Slo=names.camel(objective.name))


def _who(spec: Spec, objective: Objective) -> dict[str, str]:
    return {names.SLO: objective.name, names.SERVICE: spec.service}
