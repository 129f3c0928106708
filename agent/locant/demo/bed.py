"""Two small real models that answer questions only intact positions can answer, kept in the package.

`llama` (rotary, 84 k weights, trained length 32) and `gpt2` (learned positions, 105 k weights, trained length 24) are
stock transformers models; `train.py` makes them again. What they can do, and what each fault does to them:
docs/bed.md, made by `python -m locant.demo.measure`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from locant.canary.suite import Identities, Questions, Suite
from locant.canary.vocabulary import TaskName, Vocabulary
from locant.demo.recipes import RECIPES, VOCABULARY, Recipe
from locant_slo.errors import MachineError, ModelError

FOLDER = Path(__file__).parent / "weights"
_EXTRAPOLATING: tuple[TaskName, ...] = ("order", "passkey")
"""Tasks that a rotary bed still answers a little beyond its trained length."""


@dataclass(frozen=True, slots=True)
class Bed:
    """A trained model in evaluation mode, and the words it knows."""

    name: str
    model: nn.Module
    vocabulary: Vocabulary
    tasks: tuple[TaskName, ...]
    trained_tokens: int


def load_bed(name: str = "llama") -> Bed:
    """The bed `llama` or `gpt2`, from the package's own files.

    Raises ModelError for another name, MachineError when torch's companions or the files are missing.
    """
    recipe = recipe_of(name)
    weights, config = FOLDER / f"{name}.safetensors", FOLDER / f"{name}.json"
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MachineError("safetensors is not installed; run pip install 'locant[demo]'") from error
    if not (weights.exists() and config.exists()):
        raise MachineError(f"{weights} is missing; make it with python -m locant.demo.train {name}")
    model = build(recipe, json.loads(config.read_text())["config"])
    model.load_state_dict(load_file(weights))
    return Bed(name, model.eval().requires_grad_(False), VOCABULARY, tuple(recipe.tasks), recipe.trained_tokens)


def recipe_of(name: str) -> Recipe:
    """The recipe by name. Raises ModelError when there is none."""
    if name not in RECIPES:
        raise ModelError(f"{name!r} is no bed; choose from {', '.join(RECIPES)}")
    return RECIPES[name]


def build(recipe: Recipe, config: Any) -> nn.Module:
    """The untrained transformers model of a recipe, with random weights. Raises MachineError without transformers."""
    try:
        import transformers
    except ImportError as error:
        raise MachineError("transformers is not installed; run pip install 'locant[demo]'") from error
    if recipe.family == "llama":
        model: nn.Module = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))
    else:
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config))
    return model


def suite_of(bed: Bed) -> Suite:
    """The canary suite of a bed: all tasks inside the trained length, some beyond, and the identities."""
    inside = Questions(tasks=bed.tasks, lengths=(0.5, 0.75, 1.0), samples=4, rounds=4)
    far = tuple(task for task in _EXTRAPOLATING if task in bed.tasks)
    beyond = (Questions(tasks=far, lengths=(1.0, 1.125), samples=4, rounds=4),) if far else ()
    return Suite(
        name=f"bed-{bed.name}",
        seed=20,
        vocabulary=bed.vocabulary,
        questions=(inside, *beyond),
        identities=Identities(lengths=(0.5, 1.0)),
    )
