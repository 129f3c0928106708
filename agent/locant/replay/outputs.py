"""What a model answered for one token of one row, whatever its outputs are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor

LOGITS, HIDDEN = "logits", "hidden"


@dataclass(frozen=True, slots=True)
class Answer:
    """Tensors that hold a row's answer: [B, T, D] by token, [B, D] pooled. `quantity` is logits or hidden."""

    parts: tuple[Tensor, ...]
    quantity: str

    @property
    def by_token(self) -> bool:
        """Whether there is an answer for each token."""
        return any(part.dim() == 3 for part in self.parts)

    def columns(self) -> int:
        """Tokens answered for; 0 when pooled."""
        return next((part.shape[1] for part in self.parts if part.dim() == 3), 0)

    def at(self, row: int, columns: Tensor) -> Tensor:
        """The answers [n, D] of a row at `columns`, pooled parts repeated."""
        picked = [
            part[row].index_select(0, columns) if part.dim() == 3 else part[row].expand(len(columns), -1)
            for part in self.parts
        ]
        return (
            torch.cat([one.detach().float() for one in picked], -1) if len(picked) > 1 else picked[0].detach().clone()
        )


def answer_of(result: Any, batch: int, vocabulary_size: int) -> Answer | None:
    """Logits where there are some, else the last hidden state with its pooled form; None when neither is recognised."""
    logits = getattr(result, "logits", None)
    if _is_answer(logits, batch):
        return Answer((logits,), LOGITS if logits.shape[-1] > 1 else HIDDEN)
    found = (getattr(result, "last_hidden_state", None), getattr(result, "pooler_output", None))
    if isinstance(result, Tensor) or (isinstance(result, tuple) and result):
        found = (result if isinstance(result, Tensor) else result[0], None)
    parts = tuple(part for part in found if _is_answer(part, batch))
    if not parts:
        return None
    return Answer(parts, LOGITS if parts[0].shape[-1] == vocabulary_size > 1 else HIDDEN)


def _is_answer(value: Any, batch: int) -> TypeGuard[Tensor]:
    shaped = isinstance(value, Tensor) and value.dim() in (2, 3) and value.is_floating_point()
    return shaped and value.shape[0] == batch


def differences(first: Tensor, second: Tensor, quantity: str) -> tuple[tuple[float, ...], float, int]:
    """Per token KL(first || second) in nats, or the relative norm; the largest difference; how many argmax changed.

    In float64. What is not finite where the other is counts as infinitely far.
    """
    first, second = first.double(), second.double()
    if quantity == LOGITS:
        p, q = first.log_softmax(-1), second.log_softmax(-1)
        each = torch.where(p.isneginf(), torch.zeros_like(p), p.exp() * (p - q)).sum(-1).clamp_min(0)
    else:
        each = (second - first).norm(dim=-1) / first.norm(dim=-1).clamp_min(1e-30)
    gaps = (second - first).abs().nan_to_num(nan=0.0, posinf=0.0)
    flipped = int((first.argmax(-1) != second.argmax(-1)).sum()) if quantity == LOGITS else 0
    values = tuple(value if value == value else float("inf") for value in each.tolist())
    return values, float(gaps.max()), flipped
