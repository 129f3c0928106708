"""The objects of an OpenSLO file by kind and name, and what was referred to."""

from __future__ import annotations

from collections.abc import Sequence

from locant_slo.interop.place import Place


class Objects:
    """Filled once while the file is read; a second object of the same name is a fault."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Place] = {}
        self._used: set[tuple[str, str]] = set()

    def add(self, document: Place) -> None:
        """Remember a document by its kind and name."""
        key = document.text("kind"), document.child("metadata").text("name", needed=True)
        if key in self._known:
            document.fault("metadata.name", f"{key[1]!r} is the name of another {key[0]} of this file; rename one")
        self._known.setdefault(key, document)

    def of(self, kind: str) -> list[Place]:
        """All objects of a kind, in the order of the file."""
        return [place for (known, _), place in self._known.items() if known == kind]

    def unused(self, kind: str) -> list[Place]:
        """Those that nothing referred to."""
        return [place for key, place in self._known.items() if key[0] == kind and key not in self._used]

    def used(self, kinds: Sequence[str]) -> list[Place]:
        """Those of some kinds that something referred to."""
        return [place for key, place in self._known.items() if key[0] in kinds and key in self._used]

    def find(self, kind: str, name: str) -> Place | None:
        """An object by name; it counts as used."""
        self._used.add((kind, name))
        return self._known.get((kind, name))

    def inlined(self, place: Place, inline: str, reference: str, kind: str) -> Place | None:
        """What stands inline under one key, or the object that another key names; a fault where neither is there."""
        if inline and place.has(inline):
            return place.child(inline)
        name = place.text(reference)
        if not name:
            place.fault(reference, f"names no {kind}, and none stands inline")
            return None
        found = self.find(kind, name)
        if found is None:
            known = ", ".join(known.child("metadata").text("name") for known in self.of(kind))
            place.fault(reference, f"no {kind} of this file is called {name!r}; it has {known or 'none'}")
        return found
