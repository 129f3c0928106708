"""Tiny models of several families, and a replay on a clock that the test turns."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers as hf

import locant
from locant.observation import ReplayFacts
from locant.replay.options import ReplayOptions
from locant.replay.service import Replay

torch.set_num_threads(1)
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 97}
PAD = 0


def build(family: str, dtype: torch.dtype = torch.float32, **extra: Any) -> Any:
    """A random model whose logits are spread enough that a fault shows."""
    torch.manual_seed(0)
    wide = {"intermediate_size": 64, "max_position_embeddings": 512, "pad_token_id": PAD}
    makers = {
        "llama": lambda: hf.LlamaForCausalLM(
            hf.LlamaConfig(**SHAPE, **{**wide, "max_position_embeddings": 4096}, **extra)
        ),
        "gpt2": lambda: hf.GPT2LMHeadModel(
            hf.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=97, n_positions=512, pad_token_id=PAD)
        ),
        "bloom": lambda: hf.BloomForCausalLM(
            hf.BloomConfig(**{**SHAPE, "n_layer": 2, "n_head": 4, "pad_token_id": PAD})
        ),
        "bert": lambda: hf.BertModel(hf.BertConfig(**SHAPE, **wide)),
        "bert_mlm": lambda: hf.BertForMaskedLM(hf.BertConfig(**SHAPE, **wide)),
        "classifier": lambda: hf.LlamaForSequenceClassification(hf.LlamaConfig(**SHAPE, **wide, num_labels=5)),
    }
    model = makers[family]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(10.0)
    return model.eval().to(dtype)


def batch(rows: int, longest: int, side: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random tokens of mixed lengths with their mask; one row has full length."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 97, (rows, longest), generator=generator)
    lengths = torch.randint(max(2, longest // 2), longest + 1, (rows, 1), generator=generator)
    lengths[0] = longest
    columns = torch.arange(longest)
    mask = (columns < lengths) if side == "right" else (columns >= longest - lengths)
    return torch.where(mask, ids, PAD), mask.long()


def prefill(model: Any, rows: int, longest: int, side: str, seed: int, **extra: Any) -> Any:
    ids, mask = batch(rows, longest, side, seed)
    if side == "left" and model.config.model_type != "bloom":
        extra["position_ids"] = (mask.cumsum(1) - 1).clamp_min(0)
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask, **extra), mask


def decode(model: Any, rows: int, longest: int, seed: int, steps: int = 4) -> None:
    """A left-padded batch and some greedy steps after it."""
    result, mask = prefill(model, rows, longest, "left", seed, use_cache=True)
    places = model.config.model_type != "bloom"
    for _ in range(steps):
        mask = torch.cat([mask, torch.ones(rows, 1, dtype=torch.long)], 1)
        given = {"position_ids": (mask.sum(1, keepdim=True) - 1)} if places else {}
        ids = result.logits[:, -1:].argmax(-1)
        with torch.no_grad():
            result = model(input_ids=ids, attention_mask=mask, past_key_values=result.past_key_values, **given)


@dataclass
class Hands:
    """A replay whose moments the test chooses."""

    watch: locant.Watch
    replay: Replay
    now: list[float]
    facts: list[ReplayFacts] = field(default_factory=list)

    def later(self, seconds: float = 1.0) -> bool:
        self.now[0] += seconds
        return self.replay.tend()

    def findings(self) -> list[Any]:
        self.watch.flush()
        return [one for one in self.watch.findings() if one.check == "replay_differs"]


@contextmanager
def replaying(model: Any, **options: Any) -> Any:
    """A watched model with replay, which runs only when the test says `later`, on the same rows each time. Money is no
    object."""
    now = [100.0]
    with locant.watch(model) as watch:
        facts: list[ReplayFacts] = []

        def offer(one: ReplayFacts) -> None:
            facts.append(one)
            watch.agent.host.channel.offer(one)

        chosen = ReplayOptions(**{"strict": True, **options})
        replay = Replay(watch.probe, chosen, offer, clock=lambda: now[0], chance=random.Random(0)).start()
        replay.budget.earn(1e9)
        try:
            yield Hands(watch, replay, now, facts)
        finally:
            replay.close()
