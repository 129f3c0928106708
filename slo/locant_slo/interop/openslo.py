"""OpenSLO v1 documents, their references resolved, as the content of a `slo.yaml`: one for each service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from locant_slo.interop.openslo_alerts import alerting_of
from locant_slo.interop.openslo_indicator import indicator_of
from locant_slo.interop.openslo_objects import Objects
from locant_slo.interop.openslo_threshold import SLICE
from locant_slo.interop.openslo_window import window_of
from locant_slo.interop.place import Place, named, team_and_labels

VERSION = "openslo/v1"
_KINDS = ("SLO", "SLI", "AlertPolicy", "AlertCondition", "AlertNotificationTarget", "DataSource", "Service")
_READ = ("SLO", "SLI", "AlertPolicy", "AlertCondition", "Service")
"""Kinds that are read key by key."""
_METHODS = ("Occurrences", "Timeslices", "RatioTimeslices")


def read_openslo(documents: Sequence[Place]) -> list[dict[str, object]]:
    """One spec for each service that an SLO names. References may point to any document of the file."""
    objects = Objects()
    for document in documents:
        if _is_readable(document):
            objects.add(document)
    found: dict[str, dict[str, object]] = {}
    for slo in objects.of("SLO"):
        objects.find("SLO", slo.child("metadata").text("name"))
        spec = slo.child("spec")
        service = named(spec.text("service", needed=True), spec, "service")
        if service not in found:
            found[service] = {"version": "locant/v1", "service": service, **_service(objects, spec), "objectives": []}
        content = found[service]
        objectives = content["objectives"]
        assert isinstance(objectives, list)
        objectives += _objectives(slo, objects)
    _say_what_is_unused(objects)
    for place in objects.used(_READ):
        place.unread()
    return list(found.values())


def _service(objects: Objects, spec: Place) -> dict[str, object]:
    """Team and labels of the service's own document, where the file has one."""
    known = objects.find("Service", spec.text("service"))
    return team_and_labels(known.child("metadata")) if known is not None else {}


def _is_readable(document: Place) -> bool:
    version, kind = document.text("apiVersion"), document.text("kind", needed=True)
    if version != VERSION:
        document.fault("apiVersion", f"{version!r} is not read; write it as {VERSION}")
        return False
    if kind not in _KINDS:
        document.fault("kind", f"{kind!r} is no kind of {VERSION}; known are {', '.join(_KINDS)}")
        return False
    return True


def _say_what_is_unused(objects: Objects) -> None:
    for kind in ("SLI", "AlertPolicy", "AlertCondition", "AlertNotificationTarget"):
        for place in objects.unused(kind):
            place.note("metadata.name", f"no SLO of this file uses this {kind}; left out")
    for place in objects.of("DataSource"):
        if place.child("spec").child("connectionDetails").content:
            place.note("spec.connectionDetails", "how Prometheus is reached is not part of a spec; left out")


def _objectives(slo: Place, objects: Objects) -> Iterator[dict[str, object]]:
    """Each objective of an SLO is one here: its name ends in what tells it apart."""
    spec, about = slo.child("spec"), slo.child("metadata")
    indicator = objects.inlined(spec, "indicator", "indicatorRef", "SLI")
    window, method = window_of(spec), _method(spec)
    objectives = spec.children("objectives")
    if not objectives:
        spec.fault("objectives", "holds no objective")
    if indicator is None or method is None:
        return
    indicator.child("metadata").has("name")  # no series is called after it
    labels = {**indicator.child("metadata").labels("labels"), **about.labels("labels")}
    name, slices = about.text("name", needed=True), about.child("annotations").text(SLICE)
    for number, objective in enumerate(objectives, 1):
        target = _target(objective)
        body = indicator_of(indicator.child("spec"), objective, method, objects, slices)
        if target is None or body is None:
            continue
        said = objective.text("displayName")
        apart = (
            named(f"{name}-{said or number}", objective, "name") if len(objectives) > 1 else named(name, slo, "name")
        )
        promise = {"target": float(target), **window.content, "description": spec.text("description") or said}
        alerting = alerting_of(spec, objects, window, target)
        yield _compact({"name": apart, **body, **promise, "labels": labels, "alerting": alerting})


def _method(spec: Place) -> str | None:
    method = spec.text("budgetingMethod") or _METHODS[0]
    if method in _METHODS:
        return method
    spec.fault("budgetingMethod", f"{method!r} is not known; write one of {', '.join(_METHODS)}")
    return None


def _compact(content: Mapping[str, object]) -> dict[str, object]:
    alerting = content["alerting"]
    assert isinstance(alerting, dict)
    label = alerting.pop("notify", None)
    labels = content["labels"]
    assert isinstance(labels, dict)
    whole = {**content, "labels": {**labels, **({"notification_target": label} if label else {})}}
    return {key: value for key, value in whole.items() if value not in ("", {}, None)}


def _target(objective: Place) -> Decimal | None:
    share, percent = objective.decimal("target"), objective.decimal("targetPercent")
    if (share is None) == (percent is None):
        objective.fault("target", "needs either target or targetPercent")
        return None
    target = share if share is not None else (percent or Decimal(0)) / 100
    if not 0 < target < 1:
        objective.fault("target", f"{target} is not between 0 and 1; a promise of 0 needs no budget, one of 1 has none")
        return None
    return target
