"""Models of real families whose forward does next to nothing, so that what a probe adds to a pass can be told.

The library's own classes with everything that a probe looks for: position table or rotary module, attention layers,
configuration, cache. A forward numbers its tokens, appends to the first layer's keys and returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from locant.probe.caches import CACHE_NAMES

PAST, HEADS, SIZE = 32, 2, 16
CACHE = next(name for name in CACHE_NAMES if name in CausalLMOutputWithPast.__dataclass_fields__)
SPECIAL: dict[str, Any] = {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


class _Free:
    """What both families do instead of computing."""

    def begin(self) -> None:
        """Everything that a forward would make anew."""
        self.places = torch.arange(128)[None]
        self.answer = CausalLMOutputWithPast(logits=torch.zeros(1))
        self.new: Tensor = torch.zeros(1, HEADS, 1, SIZE)

    def step(self, input_ids: Any, cache: Any, position_ids: Any) -> Tensor:
        """The positions, after the new keys went into the cache."""
        if position_ids is None:
            position_ids = self.places.narrow(1, PAST, input_ids.shape[1])
        if cache is not None:
            cache.update(self.new, self.new, 0)
        self.answer[CACHE] = cache
        return position_ids


class FreeGPT2(_Free, GPT2LMHeadModel):
    """A position table."""

    def forward(
        self, input_ids=None, past_key_values=None, attention_mask=None, position_ids=None, use_cache=None, **more
    ):
        """See `_Free`."""
        self.transformer.wpe(self.step(input_ids, past_key_values, position_ids))
        return self.answer


class FreeRotary(LlamaRotaryEmbedding):
    """Turns nothing."""

    def forward(self, x, position_ids):
        """The same values at every position."""
        return x


class FreeLlama(_Free, LlamaForCausalLM):
    """A rotary module, and keys that can be read."""

    def forward(
        self, input_ids=None, attention_mask=None, position_ids=None, past_key_values=None, use_cache=None, **more
    ):
        """See `_Free`."""
        self.model.rotary_emb(self.new, position_ids=self.step(input_ids, past_key_values, position_ids))
        return self.answer


def free_model(family: str) -> Any:
    """A model of "gpt2" or "llama" that costs next to nothing to run."""
    torch.manual_seed(0)
    model: Any
    if family == "gpt2":
        model = FreeGPT2(GPT2Config(n_layer=2, n_head=HEADS, n_embd=HEADS * SIZE, n_positions=128, **SPECIAL))
    else:
        sizes = {"num_attention_heads": HEADS, "hidden_size": HEADS * SIZE, "intermediate_size": 8}
        model = FreeLlama(LlamaConfig(num_hidden_layers=2, max_position_embeddings=128, **sizes, **SPECIAL))
        model.model.rotary_emb = FreeRotary(model.config)
    model.begin()
    return model.eval()


@dataclass(frozen=True)
class Case:
    """One kind of pass: a decode step on 32 cached tokens, or a prompt of 32. With a mask positions are given too."""

    family: str
    batch: int
    masked: bool
    prompt: bool = False

    @property
    def name(self) -> str:
        """For tables."""
        mask = "mask" if self.masked else "no mask"
        return f"{self.family} {self.batch}x{PAST if self.prompt else 1} {mask}"


def pass_of(model: Any, case: Case) -> tuple[Callable[[], object], Callable[[], object]]:
    """One forward of this case, and what puts its cache back to where it was."""
    count = PAST if case.prompt else 1
    model.new = torch.randn(case.batch, HEADS, count, SIZE)
    call: dict[str, Any] = {"input_ids": torch.randint(3, 60, (case.batch, count)), "use_cache": True}
    first = 0 if case.prompt else PAST
    if case.masked:
        call["attention_mask"] = torch.ones(case.batch, first + count, dtype=torch.int64)
        call["position_ids"] = torch.arange(first, first + count).expand(case.batch, -1).contiguous()
    if case.prompt:
        return lambda: model(**call), lambda: None
    cache = DynamicCache(config=model.config)
    past = torch.randn(case.batch, HEADS, PAST, SIZE)
    cache.update(past, past, 0)
    return lambda: model(past_key_values=cache, **call), lambda: cache.crop(-count)
