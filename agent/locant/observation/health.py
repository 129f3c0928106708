"""What the probe says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProbeHealth:
    """What the probe says of itself, every few seconds and at close: cumulative drops, errors and times.

    `looks`: closer looks "taken", and those that were refused for the "budget" or the decode "step". `requests`: of the
    agent for a look at a whole pass, "looked" at, "refused" or "expired".
    """

    model_id: int
    time: float
    dropped: tuple[tuple[str, int], ...] = ()
    errors: tuple[tuple[str, int], ...] = ()
    capture_seconds: float = 0.0  # cumulative time spent in hooks and looks
    forward_seconds: float = 0.0  # cumulative time of the passes, without the former
    looks: tuple[tuple[str, int], ...] = ()
    requests: tuple[tuple[str, int], ...] = ()
