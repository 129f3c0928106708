"""Sloth's `prometheus/v1`, and its Kubernetes object, as the content of a `slo.yaml`."""

from __future__ import annotations

from decimal import Decimal

from locant_slo.interop.indicators import events, ratio
from locant_slo.interop.place import Place, named, team_and_labels
from locant_slo.interop.tiers import written
from locant_slo.tiers import SRE_WORKBOOK_TIERS

VERSION = "prometheus/v1"
KINDS = ("PrometheusServiceLevel", "ManagedPrometheusServiceLevel")
WINDOW = "30d"
_CAMEL = {
    "error_query": "errorQuery",
    "total_query": "totalQuery",
    "error_ratio_query": "errorRatioQuery",
    "page_alert": "pageAlert",
    "ticket_alert": "ticketAlert",
}


def read_sloth(document: Place) -> dict[str, object]:
    """One service. Sloth's default window of 30 days is written out."""
    place = document if document.has("slos") or not document.has("spec") else document.child("spec")
    place.lost(("slo_plugins", "sloPlugins"), "plugins are programs of Sloth and have no meaning here; left out")
    if not place.children("slos"):
        place.fault("slos", "holds no SLO")
    content = {
        "version": "locant/v1",
        "service": named(place.text("service", needed=True), place, "service"),
        **team_and_labels(place),
        "objectives": [found for slo in place.children("slos") if (found := _objective(slo)) is not None],
    }
    document.unread()
    return content


def _objective(slo: Place) -> dict[str, object] | None:
    percent = slo.decimal("objective")
    if percent is None or not 0 < percent < 100:
        slo.fault("objective", f"{percent} is not between 0 and 100; a promise of 100 leaves no budget to measure")
        return None
    slo.lost(("plugins",), "plugins are programs of Sloth and have no meaning here; left out")
    indicator = _indicator(slo.child("sli"))
    if indicator is None:
        return None
    alerting = slo.child("alerting")
    target = percent / 100
    content: dict[str, object] = {
        "name": named(slo.text("name", needed=True), slo, "name"),
        **indicator,
        "target": float(target),
        "window": WINDOW,
        "description": slo.text("description"),
        "labels": {**slo.labels("labels"), **alerting.labels("labels")},
        "alerting": _alerting(alerting, target),
    }
    return {key: value for key, value in content.items() if value not in ("", {})}


def _spelled(place: Place, key: str) -> str:
    """A key as this document spells it: the Kubernetes objects, which have a `spec` above, have camel case."""
    return _CAMEL[key] if place.has(_CAMEL[key]) or ("spec.slos" in place.path and not place.has(key)) else key


def _indicator(sli: Place) -> dict[str, object] | None:
    if sli.has("events"):
        place = sli.child("events")
        bad, total = (place.text(_spelled(place, key), needed=True) for key in ("error_query", "total_query"))
        return events(place, bad, total) if bad and total else None
    if sli.has("raw"):
        raw = sli.child("raw")
        text = raw.text(_spelled(raw, "error_ratio_query"), needed=True)
        return ratio(raw, "error_ratio", text) if text else None
    what = "a plugin is a program of Sloth" if sli.has("plugin") else "neither events nor raw"
    sli.fault("", f"{what}; write the queries that it makes as events")
    return None


def _alerting(place: Place, target: Decimal) -> dict[str, object]:
    """Sloth's two alerts are the workbook's four tiers, without a hold."""
    place.lost(("name",), "alerts are named after their objective here")
    place.lost(("annotations",), "every alert has words and a runbook of its own here; move links into runbooks")
    wanted = {}
    for severity in ("page", "ticket"):
        alert = place.child(_spelled(place, f"{severity}_alert"))
        alert.lost(("labels",), f"labels by severity are not kept: route by severity={severity} and team")
        alert.lost(("annotations",), "every alert has words of its own here")
        wanted[severity] = not alert.flag("disable", False)
    if not any(wanted.values()):
        return {"enabled": False}
    kept = [tier for tier in SRE_WORKBOOK_TIERS if wanted[tier.severity]]
    able = [tier for tier in kept if tier.budget * 2_592_000 / tier.long * (1 - target) < 1]
    for tier in kept:
        if tier not in able:
            place.note("", f"tier {tier.name} is left out: at this target it could never fire, here or in Sloth")
    if able == list(SRE_WORKBOOK_TIERS):
        return {}
    return {"tiers": [written(tier) for tier in able]} if able else {"enabled": False}
