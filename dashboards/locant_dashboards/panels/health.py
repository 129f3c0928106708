"""Whether Locant itself is well: what it sees, loses and costs."""

from __future__ import annotations

from locant_dashboards.ask import now, over_time
from locant_dashboards.frame import runbook
from locant_dashboards.grafana import BarGauge, Line, Stat, Step, TimeSeries
from locant_dashboards.queries import RELEASE, SLOW, Queries
from locant_slo import names
from locant_slo.catalogue import labels as la
from locant_slo.catalogue import metrics
from locant_slo.spec import Spec


def sight(spec: Spec, q: Queries) -> Line:
    """What the probe can see, and when Locant last heard anything."""
    coverage = BarGauge(
        title="Coverage by signal",
        description="Share of forward passes in which the probe could see a signal; the worst release counts. What is "
        "not seen is not healthy.",
        unit="percentunit",
        minimum=0,
        maximum=1,
        steps=(Step("red"), Step("orange", 0.5), Step("green", 0.99)),
        links=[runbook(spec, names.COVERAGE_RUNBOOK)],
        targets=[now(q.gauge("min", metrics.WATCH_COVERAGE, (la.SIGNAL,)), la.SIGNAL)],
    )
    ages = Stat(
        title="Age of the last observation",
        description="Seconds since the agent last heard of a model.",
        unit="s",
        steps=(Step("green"), Step("orange", 300), Step("red", 900)),
        links=[runbook(spec, names.SILENT_PROBE_RUNBOOK)],
        targets=[now(f"time() - {q.gauge('max', metrics.LAST_OBSERVATION, RELEASE)}", *RELEASE)],
    )
    canary = Stat(
        title="Age of the last canary run",
        description="Seconds since the last complete canary run.",
        unit="s",
        steps=(Step("green"), Step("orange", 3_600), Step("red", 14_400)),
        links=[runbook(spec, names.STALE_CANARY_RUNBOOK)],
        targets=[now(f"time() - {q.gauge('max', metrics.CANARY_LAST_RUN, RELEASE)}", *RELEASE)],
    )
    return Line((coverage, ages, canary), widths=(12, 6, 6))


def losses(spec: Spec, q: Queries) -> Line:
    """Queue, drops and errors."""
    queue = TimeSeries(
        title="Queue depth",
        description="Observations waiting to be judged.",
        unit="none",
        minimum=0,
        targets=[over_time(q.gauge("max", metrics.QUEUE_DEPTH), called="queue")],
    )
    dropped = TimeSeries(
        title="Observations dropped",
        description="Observations lost per second, by reason. Anything above 0 is a gap in the data.",
        unit="ops",
        minimum=0,
        links=[runbook(spec, names.DROPS_RUNBOOK)],
        targets=[over_time(q.rate(metrics.OBSERVATIONS_DROPPED, (la.REASON,)), la.REASON)],
    )
    errors = TimeSeries(
        title="Probe errors",
        description="Errors of the probe itself per rate interval, by signal. Each switches its part off.",
        unit="short",
        minimum=0,
        links=[runbook(spec, names.PROBE_ERRORS_RUNBOOK)],
        targets=[over_time(q.increase(metrics.PROBE_ERRORS, (la.SIGNAL,)), la.SIGNAL)],
    )
    return Line((queue, dropped, errors))


def price(spec: Spec, q: Queries) -> Line:
    """What the probe costs, and what it left alone so as not to cost more."""
    duration = TimeSeries(
        title="Time the probe takes (p99)",
        description="Time per stage; capture is what the model waits for.",
        unit="s",
        targets=[over_time(q.quantile(0.99, metrics.PROBE_DURATION, (la.STAGE,)), la.STAGE)],
    )
    overhead = TimeSeries(
        title="Overhead of the probe",
        description="Time the probe takes in the model's threads over the time of the forward passes. Closer "
        "looks keep it to its budget; facts of every pass are gathered whatever they take.",
        unit="percentunit",
        minimum=0,
        targets=[over_time(q.gauge("max", metrics.PROBE_OVERHEAD, RELEASE), *RELEASE)],
    )
    looks = TimeSeries(
        title="Closer looks",
        description="Passes wanted for a closer look per second: taken, or left alone because the budget, or a decode "
        "step, would have suffered. And the agent's requests to look at a whole pass: looked at, refused, expired.",
        unit="ops",
        minimum=0,
        targets=[
            over_time(q.rate(metrics.PROBE_LOOKS, (la.LOOK,)), la.LOOK),
            over_time(q.rate(metrics.PROBE_REQUESTS, (la.REQUEST,)), la.REQUEST),
        ],
    )
    return Line((duration, overhead, looks))


def agent(spec: Spec, q: Queries) -> Line:
    """What store and exporters do."""
    series = TimeSeries(
        title="Series",
        description="Series held by the agent's store, and series refused by its cap over the last hour.",
        unit="none",
        minimum=0,
        links=[runbook(spec, names.SERIES_REFUSED_RUNBOOK)],
        targets=[
            over_time(q.gauge("sum", metrics.SERIES), called="held"),
            over_time(q.increase(metrics.SERIES_REFUSED, window=SLOW), called="refused"),
        ],
    )
    by = (la.EXPORTER, la.OUTCOME)
    exports = TimeSeries(
        title="Exports",
        description="Snapshots exported per second, by exporter and outcome.",
        unit="ops",
        minimum=0,
        links=[runbook(spec, names.EXPORT_ERRORS_RUNBOOK)],
        targets=[over_time(q.rate(metrics.EXPORTS, by), *by)],
    )
    observed = TimeSeries(
        title="Observations",
        description="Observations received per second.",
        unit="ops",
        minimum=0,
        targets=[over_time(q.rate(metrics.OBSERVATIONS, RELEASE), *RELEASE)],
    )
    return Line((series, exports, observed))
