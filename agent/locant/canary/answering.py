"""How a model's answers are got: greedy decoding of a left-padded batch, and the loss of the right answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from locant.canary.calling import Callable2D, output_of
from locant.canary.tasks import Question
from locant.probe.caches import returned_cache

Answer = Callable[[Sequence[Sequence[int]], int], Sequence[Sequence[int]]]
"""Prompts of mixed lengths and a number of new tokens in; the new tokens of each prompt out. Hand in the engine's own
to have the canary go the way of the traffic: batching, padding, cache and all."""

Losses = tuple[tuple[int, float], ...]
"""(0-based position of an answer token, its loss in nats)."""


def greedy(model: Callable2D, pad: int) -> Answer:
    """An `Answer` that decodes greedily with mask, positions and cache set right."""

    def answer(prompts: Sequence[Sequence[int]], new_tokens: int) -> list[list[int]]:
        ids, mask = left_padded(prompts, pad, model.device)
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        produced: list[torch.Tensor] = []
        past = None
        for _ in range(new_tokens):
            given = positions if model.positions else None
            result = model(ids, mask=mask, positions=given, past=past, cache=model.caches)
            following = output_of(result)[0][:, -1].argmax(-1, keepdim=True)
            produced.append(following)
            past = returned_cache(result) if model.caches else None
            mask = torch.cat([mask, torch.ones_like(following)], 1)
            following_positions = positions[:, -1:] + 1
            ids = following if past is not None else torch.cat([ids, following], 1)
            positions = following_positions if past is not None else torch.cat([positions, following_positions], 1)
        return [list(map(int, row)) for row in torch.cat(produced, 1).tolist()]

    return answer


def left_padded(prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask, both int64 [B, T], T the longest prompt."""
    width = max(map(len, prompts))
    ids = [[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def losses(model: Callable2D, questions: Sequence[Question], pad: int) -> list[Losses]:
    """The loss of every token of every right answer, computed in one right-padded pass in float32."""
    width = max(question.tokens for question in questions)
    texts = [question.prompt + question.answer for question in questions]
    ids = torch.tensor([[*text, *[pad] * (width - len(text))] for text in texts], device=model.device)
    mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts], device=model.device)
    logits = output_of(model(ids, mask=mask))[0][:, :-1].float()
    nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").tolist()
    return [
        tuple((at, nats[row][at - 1]) for at in range(len(question.prompt), question.tokens))
        for row, question in enumerate(questions)
    ]


def first_difference(got: Sequence[int], want: Sequence[int]) -> int | None:
    """Index of the first answer token that is wrong; None when all are right. What follows does not count."""
    for index, token in enumerate(want):
        if index >= len(got) or got[index] != token:
            return index
    return None
