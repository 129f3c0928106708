"""Tiny random models of any family in front of a watch, and what it reports of their traffic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import locant
from probe.tinies import tiny

PAD, WORDS = 0, 60


def ready(kind: str, auto: str = "AutoModelForCausalLM", **changes: Any) -> Any:
    """A frozen model that generates without stopping."""
    model = tiny(kind, auto, **changes).requires_grad_(False)
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.pad_token_id, model.generation_config.eos_token_id = PAD, None
    return model


def words(count: int, seed: int = 0) -> torch.Tensor:
    """Ordinary token ids, int64 [count]."""
    return torch.randint(4, WORDS, (count,), generator=torch.Generator().manual_seed(seed))


def batch(side: str, *lengths: int, pad: int = PAD) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask) of rows of those lengths, padded on one side."""
    width = max(lengths)
    ids, mask = torch.full((len(lengths), width), pad), torch.zeros(len(lengths), width, dtype=torch.long)
    for i, length in enumerate(lengths):
        columns = slice(width - length, width) if side == "left" else slice(0, length)
        ids[i, columns], mask[i, columns] = words(length, i), 1
    return ids, mask


def counted(mask: torch.Tensor) -> torch.Tensor:
    """Positions from a mask: its running sum less one."""
    return (mask.cumsum(-1) - 1).clamp_min(0)


def alerts(model: nn.Module, *traffic: Callable[[], object]) -> set[str]:
    """Checks that page or open a ticket while the traffic runs."""
    with locant.watch(model, strict=True) as watch, torch.no_grad():
        for step in traffic:
            step()
        assert watch.flush(30)
        found = watch.findings()
    return {finding.check for finding in found if finding.severity.value != "info"}
