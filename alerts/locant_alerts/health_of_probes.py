"""Alerts on what watches a model: a probe that is silent, blind, broken or dear, a canary that does not run."""

from __future__ import annotations

from collections.abc import Iterator

from locant_alerts.health_rule import PATIENCE_SECONDS, RELEASE, WINDOW, rule, select
from locant_alerts.model import Alert
from locant_alerts.news import risen
from locant_alerts.series import number
from locant_alerts.words import AGE, COUNT, PERCENT, SUBJECT, shown
from locant_slo import names, promql
from locant_slo.catalogue import labels, metrics
from locant_slo.durations import format_duration
from locant_slo.indicators import FROM_CANARY
from locant_slo.spec import Spec

_MEMORY = "1h"


def silent(spec: Spec) -> Iterator[Alert]:
    """Nothing is heard of a model: its probe is silent, its process is gone, or there is none."""
    last = select(spec, metrics.LAST_OBSERVATION)
    limit = spec.health.probe_silent_after
    by = promql.grouping((labels.MODEL,))
    yield rule(
        spec,
        names.SILENT_PROBE_ALERT,
        names.SILENT_PROBE_RUNBOOK,
        f"time() - max {RELEASE} ({last}) > {limit}",
        (
            f"{SUBJECT}: nothing observed for {AGE}",
            "The agent runs and hears nothing from this model, though a probe reports every few seconds even without "
            "traffic. Usual causes: a hanging process, a lost socket, a thread that died. Read its log, then restart.",
        ),
        cause="stale",
    )
    yield rule(
        spec,
        names.SILENT_PROBE_ALERT,
        names.SILENT_PROBE_RUNBOOK,
        f"count {by} (last_over_time({select(spec, metrics.LAST_OBSERVATION, _MEMORY)})) unless count {by} ({last})",
        (
            f"{shown(labels.MODEL)}: watched within the last hour, and no process reports it now",
            "Its process or its agent is gone, or the scrape fails. After a planned shutdown this ends by itself.",
        ),
        cause="vanished",
    )
    yield rule(
        spec,
        names.SILENT_PROBE_ALERT,
        names.SILENT_PROBE_RUNBOOK,
        f"absent({last})",
        (
            f"No process of {spec.service} reports a watched model",
            "Prometheus finds no agent of this service. Usual causes: it is not deployed, its scrape fails, or a label "
            "of the spec's selector changed. Open the target page of Prometheus first.",
        ),
        hold=3 * PATIENCE_SECONDS,
        cause="absent",
    )


def coverage(spec: Spec) -> Alert:
    """A signal is seen in far fewer passes than usual."""
    # the day's mean, not its best: a sampled signal begins at 1 and settles at its sampling rate
    kind = (labels.SIGNAL, labels.MODEL)
    now = f"max {promql.grouping((*kind, labels.MODEL_VERSION))} ({select(spec, metrics.WATCH_COVERAGE)})"
    usual = f"max {promql.grouping(kind)} (avg_over_time({select(spec, metrics.WATCH_COVERAGE, '1d')}))"
    kept = number(spec.health.coverage_kept_ratio)
    return rule(
        spec,
        names.COVERAGE_ALERT,
        names.COVERAGE_RUNBOOK,
        f"{now} < {promql.matching(kind)} group_left () {kept} * {usual}",
        (
            f"{SUBJECT}: the probe sees {shown(labels.SIGNAL)} in only {PERCENT} of the passes",
            "Over the last day it saw far more, so faults of this kind may now pass unseen. Usual causes: a new "
            "release of the model code or of transformers, another attention back end, compilation.",
        ),
        hold=2 * PATIENCE_SECONDS,
    )


def errors(spec: Spec) -> Alert:
    """The probe met errors of its own."""
    by = (labels.SIGNAL, labels.MODEL, labels.MODEL_VERSION)
    return rule(
        spec,
        names.PROBE_ERRORS_ALERT,
        names.PROBE_ERRORS_RUNBOOK,
        risen(metrics.PROBE_ERRORS, spec.selector, by, WINDOW),
        (
            f"{SUBJECT}: the probe switched {shown(labels.SIGNAL)} off after {COUNT} errors of its own",
            "The model is not affected; this signal is not watched until the process restarts. The process log has the "
            "trace. Report it with the versions of torch, transformers and Locant.",
        ),
        hold=0,
    )


def overhead(spec: Spec) -> Alert:
    """The probe takes far more of the model's time than it may. Idle models keep their last ratio: passes must come."""
    ratio = f"max {RELEASE} (avg_over_time({select(spec, metrics.PROBE_OVERHEAD, WINDOW)}))"
    passes = f"sum {RELEASE} (increase({select(spec, metrics.FORWARD_PASSES, WINDOW)}))"
    limit = number(spec.health.overhead_ratio)
    return rule(
        spec,
        names.OVERHEAD_ALERT,
        names.OVERHEAD_RUNBOOK,
        f"{ratio} > {limit}\nand {passes} > 0",
        (
            f"{SUBJECT}: the probe takes {PERCENT} of the time of the forward passes",
            f"More than health.overhead_ratio, {limit}, allows. Usual causes: passes so short that the facts of each "
            "of them weigh, which no budget governs; a budget that was raised for an investigation; a busy machine. "
            "The model's outputs are not affected, its latency is.",
        ),
        hold=2 * PATIENCE_SECONDS,
    )


def canary(spec: Spec) -> Iterator[Alert]:
    """No canary run was completed for too long, or none at all where the spec promises what only a canary tells."""
    last = f"max {RELEASE} ({select(spec, metrics.CANARY_LAST_RUN)} > 0)"
    limit = spec.health.canary_stale_after
    yield rule(
        spec,
        names.STALE_CANARY_ALERT,
        names.STALE_CANARY_RUNBOOK,
        f"time() - {last} > {limit}",
        (
            f"{SUBJECT}: the last complete canary run ended {AGE} ago",
            f"It should run at least every {format_duration(limit)}; until it does, correctness is unknown. Usual "
            "causes: the model is busy, a case raises, or the schedule is off. Run `locant canary` by hand.",
        ),
    )
    told = [objective.name for objective in spec.objectives if objective.indicator.id in FROM_CANARY]
    if told:
        watched = f"count {RELEASE} ({select(spec, metrics.LAST_OBSERVATION)})"
        yield rule(
            spec,
            names.STALE_CANARY_ALERT,
            names.STALE_CANARY_RUNBOOK,
            f"{watched} unless {last}",
            (
                f"{SUBJECT}: no canary ever ran, so nobody knows {', '.join(told)}",
                "These objectives count what a canary answers. Without one they have no event, which is neither kept "
                "nor missed, and no other alert can say so. Start one beside the model, or drop the objectives.",
            ),
            hold=limit,
            cause="never",
        )
