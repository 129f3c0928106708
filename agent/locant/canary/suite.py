"""What the canary asks: data, loaded from YAML or built in, seeded and the same on every machine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from locant.canary.vocabulary import TaskName, Vocabulary
from locant_slo.errors import ConfigError, MachineError

Share = Annotated[float, Field(gt=0, le=16)]
"""A length as a share of the trained length."""
Positive = Annotated[int, Field(ge=1)]
Check = Literal["stream", "padding", "shift"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Questions(_Closed):
    """Tasks with one right answer, for models that were trained for them. A run asks `samples` of each task and length;
    successive runs go through `rounds` different sets and then start again."""

    tasks: Annotated[tuple[TaskName, ...], Field(min_length=1)]
    lengths: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.5, 0.75, 1.0)
    samples: Positive = 4
    rounds: Positive = 1


class Identities(_Closed):
    """Checks that hold for any model without a label: two ways to compute the same logits must agree.

    `limits` override, by dtype, how far they may differ (see `noise.py`).
    """

    checks: Annotated[tuple[Check, ...], Field(min_length=1)] = ("stream", "padding", "shift")
    lengths: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (0.25, 1.0)
    longest_tokens: Annotated[int, Field(ge=8)] = 256
    limits: dict[str, Annotated[float, Field(gt=0)]] = {}


class Suite(_Closed):
    """Everything that one canary run asks, in batches of `batch` sequences of mixed lengths."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    seed: int = 0
    batch: Annotated[int, Field(ge=2)] = 8
    vocabulary: Vocabulary | None = None
    questions: tuple[Questions, ...] = ()
    identities: Identities | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Suite:
        if not self.questions and self.identities is None:
            raise ValueError("neither questions nor identities are given; add one of them")
        asked = {task for group in self.questions for task in group.tasks}
        missing = sorted(asked - set(self.vocabulary.tasks if self.vocabulary else ()))
        if missing:
            raise ValueError(f"the vocabulary has no token for the task {missing[0]!r}; add it to vocabulary.tasks")
        return self

    @property
    def checksum(self) -> str:
        """Twelve hex digits over all of it: only results of the same suite can be compared."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


LABEL_FREE = Suite(name="label-free", identities=Identities())
"""For any model: nothing to train, nothing to label."""


def load_suite(path: Path) -> Suite:
    """The suite in a YAML file.

    Raises MachineError when it cannot be read, ConfigError with a sentence for each fault.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}); name a readable YAML file") from None
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:  # what PyYAML's values raise
        raise ConfigError(f"{path}: is no YAML ({' '.join(str(error).split())}); correct the file") from None
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {_sentence(fault)}" for fault in error.errors())) from None


def _sentence(fault: object) -> str:
    assert isinstance(fault, dict)
    where = ".".join(str(part) for part in fault["loc"]) or "the suite"
    reason = str(fault["msg"]).removeprefix("Value error, ")
    return f"{where}: {reason}"
