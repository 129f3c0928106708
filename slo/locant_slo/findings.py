"""What is wrong with a model's positions: failure modes, severities and findings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class FailureMode(str, Enum):
    """The ten ways in which positions go wrong. The value is the code, `word` the stable name."""

    LENGTH_OVERFLOW = "F1"
    BATCH_MIXUP = "F2"
    PADDING_LEAKAGE = "F3"
    STREAMING_STATE = "F4"
    PRECISION = "F5"
    CRAFTED_INPUT = "F6"
    RESOURCE_REGRESSION = "F7"
    WRONG_PARAMETERS = "F8"
    SEGMENT_MIXUP = "F9"
    ATTENTION_GEOMETRY = "F10"

    @property
    def word(self) -> str:
        """The mode in snake_case, as label values and runbooks spell it."""
        return self.name.lower()


class Severity(str, Enum):
    """How soon somebody must look. `PAGE` wakes a person, `TICKET` waits for office hours, `INFO` informs."""

    PAGE = "page"
    TICKET = "ticket"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, how sure we are, and the evidence.

    Equal findings (same check, failure mode, severity, model and version) are one finding with a `count`; the
    message and evidence are those of the first occurrence. `first_seen` and `last_seen` are Unix seconds.
    """

    failure_mode: FailureMode
    severity: Severity
    check: str
    message: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    model: str = ""
    model_version: str = ""
    first_seen: float = 0.0
    last_seen: float = 0.0
    count: int = 1

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What makes two findings the same."""
        return (self.check, self.failure_mode.value, self.severity.value, self.model, self.model_version)

    @property
    def id(self) -> str:
        """Eight hexadecimal digits of the key, the same in every process: what a person types."""
        return finding_id(*self.key)


def finding_id(check: str, failure_mode: str, severity: str, model: str, model_version: str) -> str:
    """See `Finding.id`."""
    key = "\0".join((check, failure_mode, severity, model, model_version))
    return hashlib.blake2b(key.encode(), digest_size=4).hexdigest()
