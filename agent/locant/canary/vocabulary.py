"""Which token ids a model's canary questions are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

TokenId = Annotated[int, Field(ge=0)]
TaskName = Literal["copy", "reverse", "order", "passkey"]


class Vocabulary(BaseModel):
    """The token ids of the questions. `letters` is a half-open range; `tasks` names the token that opens each task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pad: TokenId
    bos: TokenId
    eos: TokenId
    separator: TokenId
    key: TokenId
    tasks: dict[TaskName, TokenId]
    letters: tuple[TokenId, TokenId]

    @model_validator(mode="after")
    def _holds(self) -> Vocabulary:
        first, end = self.letters
        if end - first < 4:
            raise ValueError(f"letters [{first}, {end}) are {max(0, end - first)}; give at least 4")
        special = [self.pad, self.bos, self.eos, self.separator, self.key, *self.tasks.values()]
        inside = [token for token in special if first <= token < end]
        if inside:
            raise ValueError(f"token {inside[0]} is both a letter and a marker; keep letters apart from markers")
        return self
