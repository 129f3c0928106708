"""What goes wrong in the demo, where, and what must be found: the demo fails when it is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from locant_slo.findings import FailureMode


class Fault(str, Enum):
    """What a serving engine does wrong; the value is what an incident report would call it."""

    NONE = "healthy"
    MASK_LOST = "padding mask lost"
    POSITIONS_NOT_RESET = "positions not reset"
    DECODE_SHARED = "decode positions shared by the batch"
    DECODE_AHEAD = "decode positions one ahead"


@dataclass(frozen=True, slots=True)
class Drill:
    """A fault, the bed it strikes, the failure mode it must be found as, and what it means in words."""

    fault: Fault
    bed: str
    failure_mode: FailureMode
    story: str


DRILLS = (
    Drill(
        Fault.MASK_LOST,
        "llama",
        FailureMode.PADDING_LEAKAGE,
        "A new engine forgets the attention mask: short requests attend to the padding before them.",
    ),
    Drill(
        Fault.POSITIONS_NOT_RESET,
        "gpt2",
        FailureMode.BATCH_MIXUP,
        "A new engine counts positions from the batch's first column, not from each request's first token.",
    ),
)
