"""How to call a model of unknown signature, and how to leave it as it was found."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from locant.observation import ModelProfile
from locant.probe.caches import CACHE_NAMES
from locant.probe.exclude import excluded
from locant.probe.structure import text_config, unwrap

_TAKES_POSITIONS = ("learned", "sinusoidal", "rope")
_GROWN_BY_LENGTH = ("dynamic", "longrope")


@dataclass(frozen=True, slots=True)
class Callable2D:
    """A model that takes token ids of shape [B, T], and what else its forward takes."""

    model: nn.Module
    profile: ModelProfile
    device: torch.device
    dtype: str
    takes: frozenset[str]
    vocabulary_size: int

    @property
    def positions(self) -> bool:
        """Whether explicit position ids of shape [B, T] can be passed."""
        return "position_ids" in self.takes and self.profile.scheme in _TAKES_POSITIONS

    @property
    def masks(self) -> bool:
        """Whether a 2-D attention mask can be passed."""
        return "attention_mask" in self.takes

    @property
    def caches(self) -> bool:
        """Whether it decodes with a cache."""
        return self.profile.kind == "decoder" and "use_cache" in self.takes and self.cache_name is not None

    @property
    def cache_name(self) -> str | None:
        """The argument that takes the cache."""
        return next((name for name in CACHE_NAMES if name in self.takes), None)

    @property
    def grows(self) -> bool:
        """Whether a long sequence changes its rotary tables for whoever comes next."""
        parameters = getattr(text_config(self.model), "rope_parameters", None) or {}
        return isinstance(parameters, dict) and parameters.get("rope_type") in _GROWN_BY_LENGTH

    def __call__(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor | None = None,
        positions: torch.Tensor | None = None,
        past: Any = None,
        cache: bool = False,
    ) -> Any:
        """One forward pass; arguments that the model does not take are left out."""
        wanted = {"attention_mask": mask, "position_ids": positions, self.cache_name: past}
        arguments = {name: value for name, value in wanted.items() if value is not None and name in self.takes}
        if "use_cache" in self.takes:
            arguments["use_cache"] = cache
        return self.model(input_ids=ids, **arguments)


def open_model(model: nn.Module, profile: ModelProfile) -> Callable2D:
    """How `model` can be called."""
    parameters = inspect.signature(unwrap(model).forward).parameters
    weight = next(model.parameters())
    return Callable2D(
        model=model,
        profile=profile,
        device=weight.device,
        dtype=str(weight.dtype).removeprefix("torch."),
        takes=frozenset(parameters),
        vocabulary_size=int(getattr(text_config(model), "vocab_size", 0) or 0),
    )


def output_of(result: Any) -> tuple[torch.Tensor, bool]:
    """Logits [B, T, V] and True, or hidden states [B, T, D] and False."""
    logits = getattr(result, "logits", None)
    if isinstance(logits, torch.Tensor) and logits.dim() == 3:
        return logits, True
    hidden = getattr(result, "last_hidden_state", result)
    if not isinstance(hidden, torch.Tensor) or hidden.dim() != 3:
        raise TypeError(f"{type(result).__name__} holds neither logits nor hidden states of shape [B, T, D]")
    return hidden, False


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, out of the probe's sight; every module's mode restored afterwards."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        with torch.no_grad(), excluded():
            yield
    finally:
        for module in training:
            module.training = True
