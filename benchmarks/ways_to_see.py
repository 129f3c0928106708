"""Ways to generate while attention is watched, from not at all to every pattern handed out.

The peers are asked for the least that one would ask of them: the entropy of each head, at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor
from watched import cpu_seconds, prompts, sidecar, twin

import locant
from locant.remote import RemoteAgent

Generate = Callable[[], Tensor]
"""Generates once and gives the tokens."""


@dataclass(frozen=True)
class Load:
    """What is generated: so many prompts of so many tokens, and new ones."""

    size: str
    prompts: int
    length: int
    new: int

    @property
    def arguments(self) -> dict[str, Any]:
        """For `model.generate`: greedy, and always as many tokens as asked for."""
        greedy = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        return {**prompts(self.prompts, self.length), "max_new_tokens": self.new, **greedy}


def entropy(pattern: Tensor) -> Tensor:
    """Of each head, mean over sequences and queries."""
    return -(pattern * pattern.clamp_min(1e-9).log()).sum(-1).mean((0, 2))


@contextmanager
def bare(model: Any, load: Load) -> Iterator[Generate]:
    """Nothing attached."""
    yield lambda: model.generate(**load.arguments)


@contextmanager
def watched_by_sidecar(model: Any, load: Load) -> Iterator[Generate]:
    """`locant.watch` as it is, its agent in another process."""
    with sidecar() as (path, process):
        agent = RemoteAgent(path)
        started = cpu_seconds(process)
        with locant.watch(twin(model), agent=agent) as watch:
            watched = watch.probe.model
            yield lambda: watched.generate(**load.arguments)
            agent.host.flush(5.0)
            print(f"# {load.size}: the agent's process took {cpu_seconds(process) - started:.2f} s in all rounds")
        agent.close()


@contextmanager
def watched_embedded(model: Any, load: Load) -> Iterator[Generate]:
    """`locant.watch` as it is, its agent on a thread."""
    watched = twin(model)
    with locant.watch(watched):
        yield lambda: watched.generate(**load.arguments)


@contextmanager
def output_attentions(model: Any, load: Load) -> Iterator[Generate]:
    """What transformers offers: eager attention that hands its matrices out."""
    eager = twin(model, "eager")
    yield lambda: eager.generate(output_attentions=True, return_dict_in_generate=True, **load.arguments).sequences


@contextmanager
def transformer_lens(model: Any, load: Load) -> Iterator[Generate]:
    """Hooks on every attention pattern."""
    from transformer_lens import TransformerBridge

    with _folder() as folder:
        bridge = TransformerBridge.boot_transformers(
            folder, hf_model=twin(model, "eager"), tokenizer=_tokenizer(folder), device="cpu"
        )

    def hook(pattern: Tensor, **_: Any) -> Tensor:
        entropy(pattern)
        return pattern

    def run() -> Tensor:
        with bridge.hooks(fwd_hooks=[(lambda name: name.endswith("hook_pattern"), hook)]):
            return bridge.original_model.generate(**load.arguments)

    yield run


@contextmanager
def nnsight(model: Any, load: Load) -> Iterator[Generate]:
    """A trace of the generation that reads every attention pattern."""
    from nnsight.modeling.transformers import TransformersModel

    with _folder() as folder:
        traced = TransformersModel(twin(model, "eager"), tokenizer=_tokenizer(folder), task="text-generation")

    def run() -> Tensor:
        seen = []
        with traced.generate(**load.arguments) as tracer:
            for _ in tracer.iter[: load.new]:
                for layer in traced.transformer.h:
                    seen.append(entropy(layer.attn.output[1]))
            tokens = tracer.result.save()
        if len(seen) != load.new * model.config.n_layer:
            raise RuntimeError(f"nnsight saw {len(seen)} patterns of {load.new * model.config.n_layer}")
        return tokens

    yield run


@contextmanager
def _folder() -> Iterator[str]:
    """A folder with a tokenizer of two words, for peers that will not start without one."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"<e>": 0, "a": 1}, unk_token="<e>"))
    marks = dict.fromkeys(("eos_token", "bos_token", "unk_token", "pad_token"), "<e>")
    with TemporaryDirectory() as folder:
        PreTrainedTokenizerFast(tokenizer_object=words, **marks).save_pretrained(folder)
        yield folder


def _tokenizer(folder: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


WAYS: dict[str, Callable[[Any, Load], Any]] = {
    "bare": bare,
    "locant (sidecar)": watched_by_sidecar,
    "locant (embedded)": watched_embedded,
    "output_attentions": output_attentions,
    "TransformerLens": transformer_lens,
    "nnsight": nnsight,
}
"""By the name they have in the table. Each is a context in which generating can be repeated."""
