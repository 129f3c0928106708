"""An attention call that a seam met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from locant.probe.attention.calls import Attention
from locant.probe.attention.contract import PassContext

TURNED = "turned"
"""The context is that of tokens whose sequences are columns."""


@dataclass(frozen=True, slots=True)
class Met:
    """A call and the context it belongs to. `told`: what the context was made from, if it is not the pass's own."""

    call: Attention
    context: PassContext
    told: Any = None
