"""One live request as it was seen: copies on its device, read only when nobody waits for the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Step:
    """One pass of the request. `ids` [q], `mask` over all columns so far, `output` [1, D] at the last real token.

    `cached`: columns before this pass as the cache counted them; `moved`: whether the row's cache is another's now.
    """

    ids: Tensor
    output: Tensor
    mask: Tensor | None = None
    types: Tensor | None = None
    positions: Tensor | None = None
    cached: int | Tensor = 0
    moved: Tensor | None = None


@dataclass(slots=True)
class Sample:
    """A row of a batch, followed while its cache lives. `tail`: the first output is that of the last column."""

    row: int
    batch: int
    request_id: str
    quantity: str
    by_token: bool
    tail: bool
    time: float
    forward_seconds: float
    versions: int
    autocast: torch.dtype | None
    names: Mapping[str, str]
    flags: Mapping[str, Any]
    steps: list[Step]
    cache: Callable[[], Any] | None = None
    newest_key: Tensor | None = None
    next_columns: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """What can be replayed: `ids` [1, T], and the live answers [n, D] at the tokens `compared`."""

    ids: Tensor
    types: Tensor | None
    compared: tuple[int, ...]
    answers: Tensor
    sample: Sample = field(repr=False)
    padded: bool = False


def request_of(sample: Sample, pad_id: int | None, longest: int) -> Request | None:
    """The request without its padding; None where a second pass would not mean the same. Waits for the device."""
    first = sample.steps[0]
    kept = _kept(first, pad_id)
    if kept is None or len(kept) < 2 or (sample.tail and int(kept[-1]) != len(first.ids) - 1):
        return None
    if first.positions is not None and not _runs_on(first.positions[kept]):
        return None
    ids, types = [first.ids[kept]], [first.types[kept]] if first.types is not None else []
    compared, answers, columns = [len(kept) - 1], [first.output], len(first.ids)
    for step in sample.steps[1:]:
        if not _continues(step, first, columns) or compared[-1] + len(step.ids) >= longest:
            break
        ids.append(step.ids)
        if first.types is not None and step.types is not None:
            types.append(step.types)
        columns += len(step.ids)
        compared.append(compared[-1] + len(step.ids))
        answers.append(step.output)
    joined = torch.cat(ids)[None]
    segments = torch.cat(types)[None] if types else None
    if len(joined[0]) > longest or (segments is not None and segments.shape != joined.shape):
        return None
    return Request(joined, segments, tuple(compared), torch.cat(answers), sample, len(kept) < len(first.ids))


def _kept(step: Step, pad_id: int | None) -> Tensor | None:
    """Columns of the real tokens; None where the mask has holes, or where without one the pad id leaves it open."""
    if step.mask is None:
        ends = step.ids[[0, -1]].tolist()
        return None if pad_id in ends else torch.arange(len(step.ids), device=step.ids.device)
    kept = step.mask.ne(0).nonzero().flatten()
    return kept if len(kept) and int(kept[-1] - kept[0]) == len(kept) - 1 else None


def _runs_on(positions: Tensor) -> bool:
    """Whether positions rise one by one: rows that hold several requests do not."""
    return bool((positions.diff() == 1).all())


def _continues(step: Step, first: Step, columns: int) -> bool:
    """Whether this pass continues the same row: nothing dropped from the cache, nothing moved, nothing masked anew."""
    if int(step.cached) != columns or (step.moved is not None and bool(step.moved)):
        return False
    if (step.types is None) != (first.types is None):
        return False
    if step.mask is None or first.mask is None:
        return step.mask is first.mask
    same_start = torch.equal(step.mask[: len(first.mask)].ne(0), first.mask.ne(0))
    whole = len(step.mask) == columns + len(step.ids)
    return whole and same_start and bool(step.mask[len(first.mask) :].ne(0).all())
