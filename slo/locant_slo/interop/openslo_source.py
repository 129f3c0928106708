"""Where an OpenSLO metric comes from, and the slices of time that it is looked at in."""

from __future__ import annotations

from locant_slo.durations import format_duration
from locant_slo.interop.openslo_objects import Objects
from locant_slo.interop.openslo_window import shorthand
from locant_slo.interop.place import Place

MINUTE_SECONDS = 60


def query_of(place: Place, key: str, objects: Objects) -> str:
    """The PromQL of a metric source, with `$window` where it has a place for it."""
    source = place.child(key).child("metricSource") if key else place.child("metricSource")
    kind = source.text("type")
    if name := source.text("metricSourceRef"):
        found = objects.find("DataSource", name)
        if found is None and not kind:
            source.fault("metricSourceRef", f"no DataSource of this file is called {name!r}, and no type is given")
            return ""
        kind = kind or (found.child("spec").text("type") if found is not None else "")
    if kind.lower() != "prometheus":
        source.fault("type", f"{kind or 'no type'!r}: only Prometheus can be asked; write the query as PromQL")
        return ""
    return source.child("spec").text("query", needed=True)


def slice_seconds(objective: Place) -> int:
    """A plain number is minutes, by the standard."""
    value = objective.content["timeSliceWindow"] if objective.has("timeSliceWindow") else None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value * MINUTE_SECONDS
    if value is None:
        objective.note("timeSliceWindow", "no slice is given; a minute is taken")
    return shorthand(objective, "timeSliceWindow", MINUTE_SECONDS)


def look(objective: Place, seconds: int) -> str:
    """How often a slice is judged. Longer ones overlap: each look sees the whole slice before it."""
    if seconds > MINUTE_SECONDS:
        objective.note("timeSliceWindow", f"slices of {format_duration(seconds)} are judged every minute, overlapping")
    return format_duration(MINUTE_SECONDS)
