"""How an objection is put."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to say about a spec: where (file and path), how bad, and a sentence with the cure."""

    path: str
    severity: Literal["error", "warning"]
    sentence: str


def error(path: str, sentence: str) -> Diagnostic:
    """What must not be."""
    return Diagnostic(path, "error", sentence)


def warning(path: str, sentence: str) -> Diagnostic:
    """What is allowed and probably not meant."""
    return Diagnostic(path, "warning", sentence)
