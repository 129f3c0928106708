"""How the two models of the demo are built and trained: everything that fixes the result, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from locant.canary.vocabulary import TaskName, Vocabulary

VOCABULARY = Vocabulary(
    pad=0,
    bos=1,
    eos=2,
    separator=3,
    key=4,
    tasks={"copy": 5, "reverse": 6, "order": 7, "passkey": 8},
    letters=(9, 21),
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model: a transformers configuration, the share of each task in training, and the schedule."""

    family: str
    config: Mapping[str, object]
    trained_tokens: int
    tasks: Mapping[TaskName, int]
    steps: int = 4500
    batch: int = 32
    learning_rate: float = 3e-3
    seed: int = 1
    grown_after: float = 0.15  # the share of the steps after which questions are as long as they will ever be
    length_power: float = 1.0  # below 1: long questions are drawn more often
    embedding_deviation: float = 0.5  # learned positions do not converge in a minute from the usual 0.02


_COMMON: Mapping[str, object] = {
    "vocab_size": VOCABULARY.letters[1],
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

RECIPES: Mapping[str, Recipe] = {
    "llama": Recipe(
        family="llama",
        config={
            **_COMMON,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 32,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        },
        trained_tokens=32,
        tasks={"copy": 2, "reverse": 3, "order": 3, "passkey": 2},
        grown_after=0.25,
    ),
    "gpt2": Recipe(
        family="gpt2",
        config={
            **_COMMON,
            "n_embd": 64,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": 24,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "tie_word_embeddings": False,
        },
        trained_tokens=24,
        tasks={"copy": 1, "reverse": 1},
        steps=5000,
        length_power=0.7,
    ),
}
