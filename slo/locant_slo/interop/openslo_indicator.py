"""OpenSLO's two kinds of metric as indicators."""

from __future__ import annotations

from locant_slo.interop.openslo_objects import Objects
from locant_slo.interop.openslo_ratio import ratio_indicator
from locant_slo.interop.openslo_threshold import threshold_indicator
from locant_slo.interop.place import Place


def indicator_of(
    sli: Place, objective: Place, method: str, objects: Objects, looked_every: str = ""
) -> dict[str, object] | None:
    """`indicator` and `group_by`; None, with a fault, where the metric is none of Prometheus."""
    if sli.has("thresholdMetric"):
        return threshold_indicator(sli.child("thresholdMetric"), objective, method, objects, looked_every)
    if sli.has("ratioMetric"):
        return ratio_indicator(sli.child("ratioMetric"), objective, method, objects)
    sli.fault("", "has neither ratioMetric nor thresholdMetric")
    return None
