"""A small serving engine: prompts of mixed lengths, left-padded into one batch, decoded through the cache.

It passes mask and positions by itself, as hand-written engines do; `faults` are the ways in which such engines went
wrong in the field. The model is untouched by them.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from locant.demo.faults import Fault
from locant.probe.caches import CACHE_NAMES, returned_cache


class Engine:
    """Completes batches of prompts greedily. One batch at a time; `fault` may be changed between batches."""

    def __init__(self, model: nn.Module, pad: int) -> None:
        self.fault = Fault.NONE
        self.lock = threading.Lock()
        self._model = model
        self._pad = pad
        taken = inspect.signature(model.forward).parameters
        self._cache = next((name for name in CACHE_NAMES if name in taken), CACHE_NAMES[-1])

    def complete(self, prompts: Sequence[Sequence[int]], new_tokens: int) -> list[list[int]]:
        """The `new_tokens` tokens that follow each prompt."""
        with self.lock, torch.no_grad():
            return self._complete(prompts, new_tokens, self.fault)

    def _complete(self, prompts: Sequence[Sequence[int]], new_tokens: int, fault: Fault) -> list[list[int]]:
        width = max(map(len, prompts))
        pads = torch.tensor([width - len(prompt) for prompt in prompts])
        ids = torch.tensor([[self._pad] * (width - len(prompt)) + list(prompt) for prompt in prompts])
        produced: list[torch.Tensor] = []
        past: Any = None
        for step in range(new_tokens):
            seen = width + step
            mask = (torch.arange(seen) >= pads[:, None]).long()
            positions = _positions(seen - ids.shape[1], seen, pads, fault, decoding=past is not None)
            given = {} if fault is Fault.MASK_LOST else {"attention_mask": mask}
            given[self._cache] = past
            result = self._model(input_ids=ids, position_ids=positions, use_cache=True, **given)
            past = returned_cache(result)
            ids = result.logits[:, -1].argmax(-1, keepdim=True)
            produced.append(ids)
        return [[int(token) for token in row] for row in torch.cat(produced, 1).tolist()]


def _positions(first: int, end: int, pads: torch.Tensor, fault: Fault, *, decoding: bool) -> torch.Tensor:
    """Position ids int64 [B, end - first]: columns of the batch counted from each row's first real token."""
    columns = torch.arange(first, end).expand(len(pads), -1)
    own = (columns - pads[:, None]).clamp_min(0)
    if fault is Fault.POSITIONS_NOT_RESET or (fault is Fault.DECODE_SHARED and decoding):
        return columns
    return own + 1 if fault is Fault.DECODE_AHEAD and decoding else own
