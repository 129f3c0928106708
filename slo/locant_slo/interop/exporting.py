"""Specs in another format, and what that format cannot hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import yaml

from locant_slo.interop.place import Note
from locant_slo.interop.to_openslo import openslo_documents, shared_documents
from locant_slo.interop.to_sloth import sloth_document
from locant_slo.spec import Health, Objective, Routing, Spec
from locant_slo.tiers import Alerting

Format = Literal["openslo", "sloth"]
FORMATS: tuple[Format, ...] = ("openslo", "sloth")


@dataclass(frozen=True, slots=True)
class Exported:
    """YAML documents, and what is missing in them."""

    text: str
    notes: tuple[Note, ...]


def export_specs(specs: Sequence[Spec], form: Format) -> Exported:
    """All specs as one text."""
    documents = list(shared_documents(specs)) if form == "openslo" else []
    notes: list[Note] = []
    counted = Counter(objective.name for spec in specs for objective in spec.objectives)
    ambiguous = frozenset(name for name, times in counted.items() if times > 1)
    for spec in specs:
        made, lost = openslo_documents(spec, ambiguous) if form == "openslo" else sloth_document(spec)
        documents += made
        notes += [*_lost(spec, form), *lost]
    text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=120)
    return Exported(text, tuple(notes))


def _lost(spec: Spec, form: Format) -> Iterator[Note]:
    fields = {
        "health": spec.health != Health(),
        "routing": spec.routing != Routing(),
        "maintenance": bool(spec.maintenance),
        "deploys": spec.deploys is not None,
        "query_offset": spec.query_offset is not None,
        "runbook_url": spec.runbook_url != Spec.model_fields["runbook_url"].default,
    }
    for name in (name for name, is_said in fields.items() if is_said):
        yield Note(f"{spec.service}: {name}", f"{form} has no place for it; left out")
    for index, objective in enumerate(spec.objectives):
        yield from (Note(f"{spec.service}: {spec.place(index)}.{name}", words) for name, words in _lost_of(objective))


def _lost_of(objective: Objective) -> Iterator[tuple[str, str]]:
    usual = Alerting()
    if objective.similar:
        yield "similar", "labels that share a budget are a notion of ours; left out"
    if not objective.alerting.enabled:
        return
    for name in ("minimum_bad_events", "keep_firing_for"):
        if getattr(objective.alerting, name) != getattr(usual, name):
            yield f"alerting.{name}", "there is no such guard there; left out"
    no_data = objective.alerting.no_data
    if no_data.action == "alert" and no_data != usual.no_data:
        yield "alerting.no_data", "after how long, and how loud, is not said there; left out"
