"""Plain values with the path that leads to them, and what is found wrong or lost on the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation

from locant_slo.diagnose import RESERVED_LABELS
from locant_slo.sentences import show

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Note:
    """What could not be carried over, or was understood in one of several ways: where, and a sentence."""

    path: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What is collected while a document is read: faults that forbid the whole, notes that do not."""

    faults: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    """Paths whose value somebody wanted to know."""
    entered: set[str] = field(default_factory=set)
    """And those whose mapping was read key by key."""


@dataclass(frozen=True, slots=True)
class Place:
    """A mapping in a document. What has another shape than asked for is a fault with its path, and reads as absent."""

    content: Mapping[str, object]
    path: str
    findings: Findings

    def fault(self, key: str, sentence: str) -> None:
        """Something that cannot hold."""
        self.findings.faults.append(f"{self._at(key)}: {sentence}")

    def note(self, key: str, sentence: str) -> None:
        """Something to know."""
        self.findings.notes.append(Note(self._at(key), sentence))

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path and key else self.path or key

    def _get(self, key: str) -> object:
        self.findings.asked.add(self._at(key))
        return self.content.get(key)

    def has(self, key: str) -> bool:
        """Whether it says anything under this key."""
        return self._get(key) is not None

    def text(self, key: str, *, needed: bool = False) -> str:
        """A string; empty where there is none."""
        value = self._get(key)
        if value is None:
            if needed:
                self.fault(key, f"missing; add a line {key}: ...")
            return ""
        if isinstance(value, date):  # YAML knows dates and moments
            return str(value)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            self.fault(key, f"{show(value)} is no text")
            return ""
        return str(value).strip()

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._get(key)
        if key not in self.content:
            return default
        if not isinstance(value, bool):
            self.fault(key, f"{show(value)} is neither true nor false")
            return default
        return value

    def decimal(self, key: str) -> Decimal | None:
        """A finite number, exactly as it is written."""
        value = self._get(key)
        if value is None:
            return None
        try:
            number = None if isinstance(value, bool) else Decimal(str(value))
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite():
            self.fault(key, f"{show(value)} is no number")
            return None
        return number

    def child(self, key: str) -> Place:
        """A mapping below; empty where there is none."""
        return self._place(self._get(key), key)

    def children(self, key: str) -> list[Place]:
        """The mappings of a list below."""
        value = self._get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(key, f"{show(value)} stands where a list belongs")
            return []
        return [self._place(item, f"{key}[{index}]") for index, item in enumerate(value)]

    def _place(self, value: object, key: str) -> Place:
        if value is not None and not isinstance(value, Mapping):
            self.fault(key, f"{show(value)} stands where a mapping belongs")
            value = None
        content = {str(name): inside for name, inside in value.items()} if value else {}
        self.findings.entered.add(self._at(key))
        return Place(content, self._at(key), self.findings)

    def unread(self) -> None:
        """A note for each key that nobody asked for, here and in what was read below. Names for people are no loss."""
        for key, value in self.content.items():
            if key not in {"displayName", "kind"} and self._at(key) not in self.findings.asked:
                self.note(key, "is not read; left out")
            below = enumerate(value) if isinstance(value, list) else ()
            for name, inside in ((key, value), *((f"{key}[{index}]", item) for index, item in below)):
                if isinstance(inside, Mapping) and self._at(name) in self.findings.entered:
                    self._place(inside, name).unread()

    def lost(self, keys: Iterable[str], why: str) -> None:
        """A note for each of these keys that is there."""
        for key in keys:
            if self.has(key):
                self.note(key, why)

    def labels(self, key: str) -> dict[str, str]:
        """Labels as Prometheus and Locant take them; what must change its name or its shape is noted."""
        return dict(self._labels(self.child(key), key))

    def _labels(self, inside: Place, key: str) -> Iterator[tuple[str, str]]:
        for name, value in inside.content.items():
            inside.has(name)
            text = ",".join(map(_as_text, value)) if isinstance(value, list) else _as_text(value)
            plain = name if _LABEL.fullmatch(name) else re.sub(r"[^a-zA-Z0-9_]", "_", name)
            free = f"label_{plain}" if plain in RESERVED_LABELS or not _LABEL.fullmatch(plain) else plain
            if free != name:
                inside.note(name, f"the label is called {free} here: {name} is Locant's own or no name for Prometheus")
            if isinstance(value, (list, dict)):
                inside.note(name, f"{show(value)} became the text {text!r}")
            yield free, text


def _as_text(value: object) -> str:
    """A label's value as the author wrote it: `true` is no Python there."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def named(text: str, place: Place, key: str) -> str:
    """A name for Locant made of another's: lower case, digits and hyphens. A change is noted."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].rstrip("-")
    name = name if name[:1].isalpha() else f"slo-{name}".rstrip("-")[:63]
    if name != text:
        place.note(key, f"{text!r} is called {name} here; names are lower case, digits and hyphens")
    return name


def team_and_labels(place: Place) -> dict[str, object]:
    """`team` and `labels` of a spec: a label that is called team and holds one name is the team."""
    inside = place.child("labels")
    team = inside.content.get("team") if inside.has("team") else None
    is_name = isinstance(team, str) and team != ""
    rest = {key: value for key, value in inside.content.items() if key != "team" or not is_name}
    labels = Place({"labels": rest}, place.path, place.findings).labels("labels")
    found: dict[str, object] = {"team": named(str(team), inside, "team")} if is_name else {}
    return {**found, **({"labels": labels} if labels else {})}
