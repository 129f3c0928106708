"""What the probe tells the agent: facts, never verdicts.

Plain frozen values without torch, so that they cross a queue or a socket alike. Positions are 0-based. Every number is
already on the host. `model_id` ties an observation to the `ModelAttached` that introduced the model.
"""

from locant.observation.answers import CanaryFacts, ReplayFacts, StreamFacts
from locant.observation.attention import NOT_RELIABLE, AttentionFacts
from locant.observation.forward import ForwardFacts, KeyFacts, RotaryFacts
from locant.observation.health import ProbeHealth
from locant.observation.models import (
    RELEASE_HARM,
    RELEASE_NOTE,
    Detached,
    Deviation,
    Limits,
    ModelAttached,
    ModelProfile,
)
from locant.observation.rows import ABSENT, RowFacts, RowField

Observation = (
    ModelAttached | ForwardFacts | AttentionFacts | StreamFacts | CanaryFacts | ReplayFacts | ProbeHealth | Detached
)

__all__ = [
    "ABSENT",
    "NOT_RELIABLE",
    "RELEASE_HARM",
    "RELEASE_NOTE",
    "AttentionFacts",
    "CanaryFacts",
    "Detached",
    "Deviation",
    "ForwardFacts",
    "KeyFacts",
    "Limits",
    "ModelAttached",
    "ModelProfile",
    "Observation",
    "ProbeHealth",
    "ReplayFacts",
    "RotaryFacts",
    "RowFacts",
    "RowField",
    "StreamFacts",
]
