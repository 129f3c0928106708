"""Checks that need no label: two ways to compute the same distributions must agree up to rounding."""

from __future__ import annotations

from collections.abc import Callable

import torch

from locant.canary.calling import Callable2D, output_of
from locant.canary.plan import IdentityCase
from locant.probe.caches import returned_cache
from locant_slo.errors import ModelError

_ROWS = 2


def inapplicable(case: IdentityCase, model: Callable2D) -> str:
    """Why this check says nothing about this model; empty when it does."""
    if model.vocabulary_size < 8:
        return "the model does not say how many tokens it knows"
    if case.task == "stream" and not model.caches:
        return "the model decodes without a cache"
    if case.way == "left" and model.profile.kind != "decoder":
        return "only decoders are padded on the left"
    if case.task == "padding" and not model.masks:
        return "the model takes no mask"
    if model.profile.kind == "encoder_decoder":
        return "encoder and decoder together are not checked"
    if case.task == "shift" and (model.profile.scheme != "rope" or not model.positions):
        return "only rotary models whose positions can be passed are invariant under a shift"
    return ""


def difference(case: IdentityCase, model: Callable2D) -> tuple[float, bool]:
    """How far the two ways are apart, and whether in nats of KL (True) or as a relative norm of hidden states."""
    ids = _tokens(case, model)
    want, logits = output_of(model(ids))
    got = _WAYS[case.way](ids, case.amount, model)
    return (mean_kl(got, want) if logits else _relative(got, want)), logits


def mean_kl(got: torch.Tensor, want: torch.Tensor) -> float:
    """Mean over positions of KL(want || got) in nats, from logits [..., V], in float64; infinite when not finite.

    A token that `want` rules out (a logit of minus infinity) adds nothing.
    """
    p, q = want.double().log_softmax(-1), got.double().log_softmax(-1)
    value = float(torch.where(p.isneginf(), torch.zeros_like(p), p.exp() * (p - q)).sum(-1).mean())
    return max(value, 0.0) if value == value else float("inf")


def _relative(got: torch.Tensor, want: torch.Tensor) -> float:
    value = float((got.double() - want.double()).norm() / want.double().norm().clamp_min(1e-30))
    return value if value == value else float("inf")


def _tokens(case: IdentityCase, model: Callable2D) -> torch.Tensor:
    """Random tokens [2, T] without the markers that would change how a model reads them."""
    generator = torch.Generator().manual_seed(case.seed)
    special = {model.profile.pad_id, model.profile.separator_id}
    pool = torch.tensor([token for token in range(min(model.vocabulary_size, 4096)) if token not in special])
    drawn = torch.randint(len(pool), (_ROWS, case.tokens), generator=generator)
    return pool[drawn].to(model.device)


def _decode(ids: torch.Tensor, chunk: int, model: Callable2D) -> torch.Tensor:
    """The first half at once, the rest in chunks through the cache."""
    half = ids.shape[1] // 2
    result = model(ids[:, :half], cache=True)
    parts = [output_of(result)[0]]
    for start in range(half, ids.shape[1], chunk):
        past = returned_cache(result)
        if past is None:
            raise ModelError("the model returned no cache although it was asked for one")
        result = model(ids[:, start : start + chunk], past=past, cache=True)
        parts.append(output_of(result)[0])
    return torch.cat(parts, 1)


def _padded(ids: torch.Tensor, pads: int, model: Callable2D, *, left: bool) -> torch.Tensor:
    """The rows of `ids` padded beside a longer mate; only the original tokens' outputs come back."""
    pad = model.profile.pad_id or 0
    filler = torch.full((len(ids), pads), pad, device=ids.device)
    ones, zeros = torch.ones_like(ids), torch.zeros_like(filler)
    rows = torch.cat([filler, ids] if left else [ids, filler], 1)
    mask = torch.cat([zeros, ones] if left else [ones, zeros], 1)
    mate = ids[:1].repeat(1, 2)[:, : rows.shape[1]]
    rows, mask = torch.cat([rows, mate]), torch.cat([mask, torch.ones_like(mate)])
    positions = (mask.cumsum(1) - 1).clamp_min(0) if left and model.positions else None
    out, _ = output_of(model(rows, mask=mask, positions=positions))
    kept = slice(pads, None) if left else slice(None, ids.shape[1])
    return out[: len(ids), kept]


def _shifted(ids: torch.Tensor, by: int, model: Callable2D) -> torch.Tensor:
    positions = torch.arange(by, by + ids.shape[1], device=ids.device).expand(len(ids), -1)
    return output_of(model(ids, positions=positions))[0]


_WAYS: dict[str, Callable[[torch.Tensor, int, Callable2D], torch.Tensor]] = {
    "decode": _decode,
    "chunks": _decode,
    "left": lambda ids, pads, model: _padded(ids, pads, model, left=True),
    "right": lambda ids, pads, model: _padded(ids, pads, model, left=False),
    "by": _shifted,
}
