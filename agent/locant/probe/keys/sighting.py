"""What a pass whose keys are compared sends."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from locant.probe.keys.tail import Tail


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a compared pass sends: the newest keys as the cache's last pass left them, the keys of which number `slot`
    now stands before this pass's own, and the mask's columns for that one, [2, rows] (None: there is no mask)."""

    then: Tail
    now: Tensor
    slot: int
    shown: Tensor | None

    def tensors(self) -> dict[str, Tensor]:
        """What has to travel, by name."""
        named = {"keys.then": self.then.keys, "keys.now": self.now}
        return named if self.shown is None else {**named, "keys.shown": self.shown}
