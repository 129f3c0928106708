"""What the agent asks of whoever judges observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from locant.observation import Observation
from locant.sidecar.accountant import Verdict
from locant.sidecar.references import Reference
from locant.sidecar.saved import SavedCosts, SavedRelease


class Judging(Protocol):
    """Whatever turns one observation into a verdict."""

    def judge(self, observation: Observation) -> Verdict:
        """What is wrong with it."""

    def forget(self, model_id: int) -> None:
        """Drop everything about a model but what its release costs."""

    def compare(self, references: Mapping[str, Reference]) -> None:
        """Hold costs to these pinned releases, by model, from now on."""

    def costs(self) -> Mapping[tuple[str, str], SavedCosts]:
        """What is usual of each release, by model and version."""

    def recall(self, saved: Iterable[SavedRelease]) -> None:
        """Go on with the costs of these releases."""
