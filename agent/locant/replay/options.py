"""What can be set about replay."""

from __future__ import annotations

from dataclasses import dataclass

from locant_slo.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How much, how long and when.

    `share` of the time that live passes take is what replays may take; unused time is saved up to `burst_seconds`. A
    replay starts when no pass has been under way for `idle_seconds`. Requests beyond `longest_tokens` are passed over;
    one is followed for `decode_steps` passes after its first, and forgotten after `oldest_seconds`. `most_bytes` bounds
    the logits of one replay. `strict` raises replay's own errors in the live pass that caused them, for tests.
    """

    share: float = 0.01
    idle_seconds: float = 0.2
    burst_seconds: float = 2.0
    longest_tokens: int = 2048
    decode_steps: int = 8
    oldest_seconds: float = 60.0
    most_bytes: int = 256 * 2**20
    strict: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"replay: share: {self.share} is not between 0 and 1")
        if self.idle_seconds < 0 or self.burst_seconds <= 0:
            raise ConfigError("replay: idle_seconds must be at least 0 and burst_seconds above it")
