"""Trains the beds: `python -m locant.demo.train [llama|gpt2]`, under two CPU minutes each on one thread."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from locant.canary.tasks import SHORTEST, Question, ask
from locant.demo.bed import FOLDER, build, recipe_of
from locant.demo.recipes import RECIPES, VOCABULARY, Recipe

_SHORTEST_START = 12
_WARM_UP_STEPS = 100
_FALLING_SHARE = 0.6


def main(arguments: Sequence[str]) -> int:
    """Train and save the named beds, or all of them."""
    torch.set_num_threads(1)
    for name in arguments or tuple(RECIPES):
        recipe = recipe_of(name)
        started = time.process_time()
        model = train(recipe)
        save(name, recipe, model, FOLDER)
        sys.stderr.write(f"{name}: {recipe.steps} steps in {time.process_time() - started:.0f} CPU seconds\n")
    return 0


def train(recipe: Recipe) -> nn.Module:
    """The trained model of a recipe; the same on every run of one machine."""
    torch.manual_seed(recipe.seed - 1)
    model = build(recipe, dict(recipe.config))
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=recipe.embedding_deviation)
    rng = random.Random(recipe.seed)  # noqa: S311  (questions, no secrets)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _pace(step, recipe.steps)
        loss = answer_loss(model, list(_draw(recipe, step, rng)))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


def answer_loss(model: nn.Module, questions: Sequence[Question]) -> torch.Tensor:
    """Mean cross-entropy (nats) of the answers, as a scalar tensor."""
    width = max(question.tokens for question in questions)
    ids = torch.full((len(questions), width), VOCABULARY.pad)
    labels = torch.full_like(ids, -100)
    for row, question in enumerate(questions):
        ids[row, : question.tokens] = torch.tensor(question.prompt + question.answer)
        labels[row, len(question.prompt) : question.tokens] = torch.tensor(question.answer)
    mask = torch.ones_like(ids[:, :-1])  # right padding and a causal model: no real token sees a pad
    logits = model(input_ids=ids[:, :-1], attention_mask=mask, use_cache=False).logits
    return functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


def _pace(step: int, steps: int) -> float:
    """Warm-up, then a plateau, then a straight line to zero."""
    return min(1.0, (step + 1) / _WARM_UP_STEPS, (1 - step / steps) / _FALLING_SHARE)


def _draw(recipe: Recipe, step: int, rng: random.Random) -> Iterator[Question]:
    grown = min(1.0, step / (recipe.grown_after * recipe.steps))
    longest = int(_SHORTEST_START + (recipe.trained_tokens - _SHORTEST_START) * grown)
    tasks, weights = list(recipe.tasks), list(recipe.tasks.values())
    for task in rng.choices(tasks, weights, k=recipe.batch):
        tokens = 9 + int((longest - 6) * rng.random() ** recipe.length_power)
        yield ask(task, VOCABULARY, max(SHORTEST[task], min(longest, tokens)), rng)


def save(name: str, recipe: Recipe, model: nn.Module, folder: Path) -> None:
    """Weights as safetensors and the configuration as JSON, in `folder`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {key: cast(torch.Tensor, value).detach().clone() for key, value in model.state_dict().items()}
    weights = folder / f"{name}.safetensors"
    save_file(state, weights)
    weights.chmod(0o644)
    content = {"family": recipe.family, "config": dict(recipe.config), "trained_tokens": recipe.trained_tokens}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
