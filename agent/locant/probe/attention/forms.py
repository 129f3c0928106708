"""Visibility of calls in which sizes alone decide: no mask, nothing known to be padding, no requests to keep apart.

Such calls are judged alike in every pass. They are most of them where prompts come one by one, and on a GPU a judgement
is a hundred small launches.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from locant.probe.attention.calls import Attention, KernelCall
from locant.probe.attention.contract import PassContext
from locant.probe.attention.visibility import Geometry

_KEPT = 64


class Forms:
    """What was found of the forms that were met lately; passes of several threads share it."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Tensor] = {}

    def find(self, form: Hashable | None, judged: Callable[[], Tensor]) -> Tensor:
        """What is known of a form, or what `judged` finds; None is the form of calls that must be judged each."""
        if form is None:
            return judged()
        known = self._found.get(form)
        if known is None:
            if len(self._found) >= _KEPT:
                self._found = {}
            known = self._found[form] = judged()
        return known


def form_of(call: Attention, context: PassContext, geometry: Geometry) -> Hashable | None:
    """What decides a call's visibility, where those are numbers only; None where a tensor has a say."""
    told = (context.key_padding, context.key_request, context.query_real)
    if not isinstance(call, KernelCall) or any(one is not None for one in (*told, call.mask, call.bias, call.allows)):
        return None
    if isinstance(context.cached, Tensor):
        return None
    sizes = (call.batch, context.queries, call.keys, context.cached, call.diagonal, call.window)
    return (*sizes, geometry, context.own_mask, context.blocks, context.two_way, _where(call.device))


def _where(device: torch.device) -> Hashable:
    """A device, and on CUDA the stream: what another one computes may not be there yet."""
    return device if device.type != "cuda" else (device, torch.cuda.current_stream(device).cuda_stream)
