"""What of an encoder's output is padding, kept until a decoder attends to that output. Nothing is read back."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

import torch
from torch import Tensor

_KEPT = 8
"""Outputs remembered: those of the encoders that run at once in a process."""


class EncoderMemory:
    """Masks of the last encoder passes by the very tensor that came out: a copy or a slice of it says nothing."""

    def __init__(self) -> None:
        self._kept: deque[tuple[weakref.ref[Tensor], weakref.ref[Tensor], Tensor]] = deque(maxlen=_KEPT)

    def remember(self, output: Any, mask: Tensor | None) -> None:
        """`output`: what the encoder returned, hidden states first; `mask` [B, S], non-zero keeps, as it was given."""
        hidden = hidden_states(output)
        if hidden is None or mask is None or mask.dim() != 2:
            return
        if tuple(mask.shape) in ((hidden.shape[0], hidden.shape[1]), (hidden.shape[1], hidden.shape[0])):
            with torch.no_grad():
                self._kept.append((weakref.ref(hidden), weakref.ref(mask), mask == 0))

    def open_pads(self, hidden: Any, given: Any) -> Tensor | None:
        """int64 [B]: padding columns of `hidden` that the mask `given` leaves open; None when nothing is known."""
        if hidden is None:
            return None
        for output, original, padding in tuple(self._kept):
            if output() is not hidden:
                continue
            if given is None:
                return padding.sum(1)
            same = given is original()
            if same or not isinstance(given, Tensor) or given.shape != padding.shape:
                return None
            return (padding & (given.to(padding.device) != 0)).sum(1)
        return None


def hidden_states(output: Any) -> Tensor | None:
    """The hidden states [B, S, D] that an encoder returned, whatever they are wrapped in."""
    found = getattr(output, "last_hidden_state", None)
    if found is None:
        found = output[0] if isinstance(output, (tuple, list)) and output else output
    return found if isinstance(found, Tensor) and found.dim() == 3 else None
