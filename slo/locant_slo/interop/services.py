"""What documents say about one service, as one spec: a service stands in one document here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from locant_slo.expression import narrowed
from locant_slo.indicators import BY_ID
from locant_slo.interop.place import Findings, Note

Content = dict[str, Any]


def whole_services(specs: Iterable[Content], findings: Findings) -> list[Content]:
    """One spec for each service that has objectives."""
    by_service: dict[str, Content] = {}
    for spec in specs:
        known = by_service.setdefault(spec["service"], spec)
        if known is not spec:
            _join(known, spec, findings)
    return [_settled(spec, findings) for spec in by_service.values() if spec["objectives"]]


def _join(known: Content, other: Content, findings: Findings) -> None:
    """The other's labels move to its objectives where they say something else; a service has one team."""
    if (team := other.get("team")) and known.setdefault("team", team) != team:
        findings.notes.append(Note(f"service {known['service']}", f"has two teams; {team} is left out"))
    mine = known.get("labels", {})
    extra = {name: value for name, value in other.get("labels", {}).items() if mine.get(name) != value}
    moved = [{**one, "labels": {**extra, **one.get("labels", {})}} if extra else one for one in other["objectives"]]
    known["objectives"] = [*known["objectives"], *moved]


def _settled(spec: Content, findings: Findings) -> Content:
    """With the selector that all its objectives share, and whether a probe of ours watches it."""
    head, objectives = {name: value for name, value in spec.items() if name != "objectives"}, spec["objectives"]
    counted = [one for one in objectives if _is_counted_by_us(one)]
    if not counted:
        findings.notes.append(
            Note(
                f"service {spec['service']}",
                "no probe of Locant is known to watch it; where one does, drop probe: false",
            )
        )
        return {**head, "probe": False, "objectives": objectives}
    shared = counted[0].get("selector", {})
    if not shared or not all(_has(one, shared) for one in objectives):
        return spec
    without = [{name: value for name, value in one.items() if name != "selector"} for one in objectives]
    return {**head, "selector": shared, "objectives": without}


def _is_counted_by_us(objective: Content) -> bool:
    return objective["indicator"] in BY_ID if isinstance(objective["indicator"], str) else False


def _has(objective: Content, selector: Mapping[str, str]) -> bool:
    """Whether the selector would change nothing about what an objective counts."""
    if _is_counted_by_us(objective):
        return bool(objective.get("selector") == selector)
    return all(narrowed(text, selector) == text for text in _texts(objective["indicator"]))


def _texts(indicator: Mapping[str, object]) -> Sequence[str]:
    return [text for name, text in indicator.items() if name in _EXPRESSIONS and isinstance(text, str)]


_EXPRESSIONS = frozenset({"good", "bad", "total", "error_ratio", "success_ratio", "value"})
