"""Passes of a trained model in which each attention statistic has something to measure: healthy ones, faulty ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from trained_models import Trained

from locant.probe.attention.contract import PassContext

FAULTY = {
    "padding_mass": "mask lost",
    "cross_mass": "packing lost",
    "future_mass": "looks ahead",
    "window_mass": "window lost",
}
"""Where the masses that are 0 in health are measured."""
_WINDOW = 64


@dataclass(frozen=True)
class Case:
    """One pass: what is fed to the model, and what the probe knows of it. `window`: the layers' own, which was lost."""

    name: str
    ids: Tensor
    context: PassContext
    mask: Tensor | None = None
    window: int | None = None


def context_of(ids: Tensor, real: Tensor | None = None, request: Tensor | None = None) -> PassContext:
    """What the probe would know of a prefill of these tokens."""
    padding = None if real is None else ~real
    return PassContext(1, ids.shape[0], ids.shape[1], padding, request, real, True, 1, 0)


def cases(trained: Trained, length: int, rows: int, seed: int) -> Iterator[Case]:
    """A healthy pass of one text, a ragged batch, one of as many texts as rows are sampled, and the four faults."""
    one = trained.texts(1, length, seed)
    yield Case("one text", one, context_of(one))
    short = min(length, 256)
    lengths = torch.linspace(short, max(short // 8, 4), 8).long()[:, None]
    real = torch.arange(short) >= short - lengths
    ragged = torch.where(real, trained.texts(8, short, seed + 1), trained.pad)
    yield Case("8 ragged", ragged, context_of(ragged, real), real.long())
    many = trained.texts(rows, min(length, 64), seed + 2)
    yield Case(f"{rows} texts", many, context_of(many))
    yield Case("mask lost", ragged, context_of(ragged, real), torch.ones_like(ragged))
    request = (torch.arange(length) * 4 // length)[None]
    yield Case("packing lost", one, context_of(one, request=request))
    yield Case("looks ahead", one, context_of(one), torch.zeros(1, 1, length, length))
    yield Case("window lost", one, context_of(one), window=min(_WINDOW, length // 4))
