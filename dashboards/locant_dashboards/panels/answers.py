"""Is the model right, and is a release worse than the one before?"""

from __future__ import annotations

from locant_dashboards.ask import now, over_time
from locant_dashboards.grafana import Gauge, Line, Stat, Step, TimeSeries
from locant_dashboards.objectives import good_steps, target
from locant_dashboards.queries import RANGE, RELEASE, SLOW, Queries
from locant_slo.catalogue import labels as la
from locant_slo.catalogue import metrics
from locant_slo.spec import Spec

_STRONG_EVIDENCE_NATS = 4.6


def answers(spec: Spec, q: Queries) -> Line:
    """Correctness inside and beyond the trained length, and findings, over the time range."""
    right = Gauge(
        title="Sequence correctness",
        description="Canary cases within the trained length that were answered right, over the time range.",
        unit="percentunit",
        minimum=0,
        maximum=1,
        decimals=2,
        steps=good_steps(spec, "sequence_correctness"),
        targets=[now(q.good_ratio("sequence_correctness", window=RANGE), called="correct")],
    )
    longer = Gauge(
        title="Extrapolation accuracy",
        description="Canary cases beyond the trained length answered right, of those whose short twin was right.",
        unit="percentunit",
        minimum=0,
        maximum=1,
        decimals=2,
        steps=good_steps(spec, "extrapolation_accuracy"),
        targets=[now(q.good_ratio("extrapolation_accuracy", window=RANGE), called="correct")],
    )
    by = (la.SEVERITY,)
    faults = Stat(
        title="Positional findings",
        description="Occurrences of positional findings over the time range, by how soon somebody must look.",
        unit="short",
        decimals=0,
        steps=(Step("green"), Step("orange", 1)),
        targets=[now(q.increase(metrics.FINDINGS, by, window=RANGE), la.SEVERITY)],
    )
    return Line((right, longer, faults), height=6)


def correctness(spec: Spec, q: Queries) -> Line:
    """Correctness over time, by release."""
    wanted = target(spec, "sequence_correctness")
    panel = TimeSeries(
        title="Sequence correctness by release",
        description=f"Canary cases answered right, of all in the last hour. The line is the objective, {wanted}.",
        unit="percentunit",
        maximum=1,
        steps=good_steps(spec, "sequence_correctness"),
        threshold_lines=True,
        targets=[over_time(q.good_ratio("sequence_correctness", RELEASE, window=SLOW), *RELEASE)],
    )
    return Line((panel,))


def regression(spec: Spec, q: Queries) -> Line:
    """Each release against its predecessor on the same cases."""
    paired = TimeSeries(
        title="Cases that a release keeps right",
        description="Canary cases that the predecessor answered and this release answers no worse, in the last hour.",
        unit="percentunit",
        maximum=1,
        steps=good_steps(spec, "positional_regression"),
        threshold_lines=True,
        targets=[over_time(q.good_ratio("positional_regression", RELEASE, window=SLOW), *RELEASE)],
    )
    by = (*RELEASE, la.BASELINE_VERSION)
    evidence = TimeSeries(
        title="Evidence that a release is worse",
        description="Natural log of the sequential evidence on paired cases against the predecessor. Above 4.6 the "
        "chance of such evidence from an equally good release is below 1 %, however often one looks.",
        unit="short",
        steps=(Step("green"), Step("red", _STRONG_EVIDENCE_NATS)),
        threshold_lines=True,
        targets=[over_time(q.gauge("max", metrics.REGRESSION_LOG_EVIDENCE, by), *RELEASE, la.BASELINE_VERSION)],
    )
    return Line((paired, evidence))
