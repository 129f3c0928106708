"""Was it a release?"""

from __future__ import annotations

from locant_dashboards.ask import over_time, rows
from locant_dashboards.grafana import Line, Override, Step, Table, TimeSeries
from locant_dashboards.grafana.table import columns, merged
from locant_dashboards.queries import RANGE, RELEASE, SLOW, STEP, Queries
from locant_slo import promql
from locant_slo.catalogue import labels as la
from locant_slo.catalogue import metrics


def deploys(q: Queries) -> Line:
    """Correctness by release, and the releases with their delta."""
    trend = TimeSeries(
        title="Correctness by release",
        description="Canary cases answered right, of all in the last hour. A step at a blue mark is a bad release.",
        unit="percentunit",
        maximum=1,
        targets=[over_time(q.good_ratio("sequence_correctness", RELEASE, window=SLOW), *RELEASE)],
    )
    return Line((trend, _releases(q)), widths=(10, 14))


def _releases(q: Queries) -> Table:
    """One row per release: when it was first seen, how correct it is, and how that differs from its model's mean."""
    by = promql.grouping(RELEASE)
    seen = q.one(metrics.MODEL_INFO)
    first = f"1000 * min {by} (min_over_time(timestamp({seen})[{RANGE}:{STEP}]))"
    correct = q.good_ratio("sequence_correctness", RELEASE, window=RANGE)
    everyone = q.good_ratio("sequence_correctness", (la.MODEL,), window=RANGE)
    delta = f"({correct}) - on ({la.MODEL.name}) group_left () ({everyone})"
    titles = {la.MODEL.name: "Model", la.MODEL_VERSION.name: "Release"}
    values = {"Value #A": "First seen", "Value #B": "Correctness", "Value #C": "Delta"}
    return Table(
        title="Recent deploys against correctness delta",
        description="Releases in the time range. Delta: the release's correctness minus that of all releases of the "
        "model together; below 0 it is worse than its neighbours. First seen is the start of the range at the latest.",
        unit="percentunit",
        decimals=2,
        sort_by="First seen",
        overrides=(
            Override("First seen", (("unit", "dateTimeAsIso"),)),
            Override("Delta", (("custom.cellOptions", {"type": "color-text"}), ("thresholds", _below_nought()))),
        ),
        targets=[rows(first), rows(correct), rows(delta)],
        transformations=[merged(), columns({**titles, **values})],
    )


def _below_nought() -> dict[str, object]:
    return {"mode": "absolute", "steps": [Step("red").to_json_data(), Step("green", -0.001).to_json_data()]}
