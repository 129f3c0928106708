"""A spec as Sloth's `prometheus/v1`."""

from __future__ import annotations

from locant_slo import names
from locant_slo.durations import format_duration
from locant_slo.interop import sloth
from locant_slo.interop.pairs import pair, ratio_of
from locant_slo.interop.place import Note
from locant_slo.spec import Objective, Spec
from locant_slo.tiers import SRE_WORKBOOK_TIERS, fitted_tiers

_PERIODS = ("30d", "28d")


def sloth_document(spec: Spec) -> tuple[list[dict[str, object]], list[Note]]:
    """One document with all objectives, and what Sloth cannot hold of them."""
    notes = [note for index, objective in enumerate(spec.objectives) for note in _lost(spec, objective, index)]
    labels = {**spec.labels, names.TEAM: spec.team}
    slos = [_slo(spec, objective) for objective in spec.objectives]
    return [{"version": sloth.VERSION, "service": spec.service, "labels": labels, "slos": slos}], notes


def _slo(spec: Spec, objective: Objective) -> dict[str, object]:
    content: dict[str, object] = {
        "name": objective.name,
        "objective": float(objective.target * 100),
        "description": objective.description,
        "labels": dict(objective.labels),
        "sli": _sli(spec, objective),
        "alerting": _alerting(objective),
    }
    return {key: value for key, value in content.items() if value not in ("", {})}


def _sli(spec: Spec, objective: Objective) -> dict[str, object]:
    """The total drops idle groups, so that Sloth's division gives no NaN."""
    if (found := ratio_of(spec, objective)) is not None:
        field, text = found
        return {"raw": {"error_ratio_query": text if field == "error_ratio" else f"1 - ({text})"}}
    bad, events = pair(spec, objective)
    return {"events": {"error_query": bad, "total_query": f"({events}) > 0"}}


def _alerting(objective: Objective) -> dict[str, object]:
    wanted = {tier.severity for tier in objective.alerting.tiers} if objective.alerting.enabled else set()
    return {
        "name": f"Locant{names.camel(objective.name)}",
        **{f"{severity}_alert": {"disable": True} for severity in ("page", "ticket") if severity not in wanted},
    }


def _lost(spec: Spec, objective: Objective, index: int) -> list[Note]:
    where, found = f"{spec.service}: {spec.place(index)}", []
    window = format_duration(objective.window)
    if objective.calendar is not None:
        found.append(Note(f"{where}.calendar", f"Sloth knows rolling windows alone; {window} stands for it"))
    if window not in _PERIODS:
        found.append(Note(f"{where}.window", f"Sloth needs a file of windows for {window}: --slo-period-windows-path"))
    elif window != sloth.WINDOW:
        found.append(Note(f"{where}.window", f"tell Sloth: --default-slo-period={window}"))
    if objective.alerting.enabled and not _is_usual(objective):
        found.append(Note(f"{where}.alerting.tiers", "Sloth has tiers of its own; page and ticket are kept"))
    return found


def _is_usual(objective: Objective) -> bool:
    """Whether the tiers are the workbook's, or a severity's part of them."""
    usual = fitted_tiers(objective.window) if objective.window != 2_592_000 else SRE_WORKBOOK_TIERS
    mine = objective.alerting.tiers
    return mine == tuple(tier for tier in usual if tier.severity in {one.severity for one in mine})
