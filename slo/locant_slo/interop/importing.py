"""A file of another format as the specs it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from locant_slo.documents import documents
from locant_slo.errors import SpecError
from locant_slo.interop import openslo, sloth
from locant_slo.interop.place import Findings, Note, Place
from locant_slo.interop.services import whole_services
from locant_slo.load import no_yaml, parse_specs

_KNOWN = f"OpenSLO (apiVersion: {openslo.VERSION}) and Sloth (version: {sloth.VERSION}, or kind: {sloth.KINDS[0]})"


@dataclass(frozen=True, slots=True)
class Imported:
    """The specs as YAML that `locant generate` takes, and what was lost or doubtful on the way."""

    text: str
    notes: tuple[Note, ...]


def import_text(text: str, source: str) -> Imported:
    """Every document of `text` together. Raises SpecError with every fault, those of the result among them."""
    findings = Findings()
    places = list(_places(text, source, findings))
    forms = [(_form(place), place) for place in places]
    sloths, openslos = ([place for form, place in forms if form == wanted] for wanted in ("sloth", "openslo"))
    specs = whole_services([*map(sloth.read_sloth, sloths), *openslo.read_openslo(openslos)], findings)
    if not specs and not findings.faults:
        findings.faults.append("holds no SLO; write it into one file with what it refers to")
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
        raise SpecError(source, (no_yaml(error),)) from error
    for index, (content, duplicates) in enumerate(parsed, 1):
        path = f"document {index}" if len(parsed) > 1 else ""
        findings.faults.extend(f"{path}: {duplicate}" if path else duplicate for duplicate in duplicates)
        root = Place({"": content if isinstance(content, list) else [content]}, path, findings)
        for number, place in enumerate(root.children("")):
            inside = f"[{number}]" if isinstance(content, list) else ""
            yield Place(place.content, f"{path}{inside}", findings)


def _form(place: Place) -> str:
    """The format of a document; a fault where it is of none."""
    api, kind, version = (place.text(key) for key in ("apiVersion", "kind", "version"))
    if api.startswith("openslo"):
        return "openslo"
    if version == sloth.VERSION or kind in sloth.KINDS:
        return "sloth"
    said = (
        f"apiVersion {api!r}, kind {kind!r}" if api or kind else f"version {version!r}" if version else "what says none"
    )
    place.fault("kind" if api or kind else "version", f"{said} is of no format known here; known are {_KNOWN}")
    return ""
