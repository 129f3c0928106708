"""A file of another format as the specs it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from locant_slo.documents import documents
from locant_slo.errors import SpecError
from locant_slo.interop import openslo, sloth
from locant_slo.interop.place import Findings, Note, Place
from locant_slo.load import parse_specs

_KNOWN = f"OpenSLO (apiVersion: {openslo.VERSION}) and Sloth (version: {sloth.VERSION}, or kind: {sloth.KIND})"


@dataclass(frozen=True, slots=True)
class Imported:
    """The specs as YAML that `locant generate` takes, and what was lost or doubtful on the way."""

    text: str
    notes: tuple[Note, ...]


def import_text(text: str, source: str) -> Imported:
    """Every document of `text` together. Raises SpecError with every fault, those of the result among them."""
    findings = Findings()
    places = list(_places(text, source, findings))
    specs = _merged([*_read_sloths(places), *openslo.read_openslo([place for place in places if _is_openslo(place)])])
    strangers = [place for place in places if not _is_openslo(place) and not _is_sloth(place)]
    for place in strangers:
        place.fault("", f"is of no format that is known here; known are {_KNOWN}")
    if not specs and not findings.faults:
        findings.faults.append("holds no SLO")
    if findings.faults:
        raise SpecError(source, tuple(findings.faults))
    result = "---\n".join(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=120) for spec in specs)
    try:
        parse_specs(result, source)
    except SpecError as error:
        problems = tuple(f"what it stands for cannot hold: {problem}" for problem in error.problems)
        raise SpecError(source, problems) from error
    return Imported(result, tuple(dict.fromkeys(findings.notes)))


def _places(text: str, source: str, findings: Findings) -> Iterator[Place]:
    try:
        parsed = documents(text)
    except yaml.YAMLError as error:
        raise SpecError(source, (f"this is no YAML: {str(error).splitlines()[0]}",)) from error
    for index, (content, duplicates) in enumerate(parsed, 1):
        path = f"document {index}" if len(parsed) > 1 else ""
        findings.faults.extend(f"{path}: {duplicate}" if path else duplicate for duplicate in duplicates)
        root = Place({"": content if isinstance(content, list) else [content]}, path, findings)
        for number, place in enumerate(root.children("")):
            inside = f"[{number}]" if isinstance(content, list) else ""
            yield Place(place.content, f"{path}{inside}", findings)


def _is_openslo(place: Place) -> bool:
    return str(place.content.get("apiVersion", "")).startswith("openslo")


def _is_sloth(place: Place) -> bool:
    return place.content.get("version") == sloth.VERSION or place.content.get("kind") == sloth.KIND


def _read_sloths(places: list[Place]) -> list[dict[str, object]]:
    return [sloth.read_sloth(place) for place in places if _is_sloth(place)]


def _merged(specs: list[dict[str, object]]) -> list[dict[str, object]]:
    """Specs of one service as one: a service stands in one document here."""
    by_service: dict[object, dict[str, object]] = {}
    for spec in specs:
        known = by_service.setdefault(spec["service"], spec)
        if known is not spec:
            known["objectives"] = [*_objectives(known), *_objectives(spec)]
    return [spec for spec in by_service.values() if spec["objectives"]]


def _objectives(spec: dict[str, object]) -> list[object]:
    found = spec["objectives"]
    return found if isinstance(found, list) else []
