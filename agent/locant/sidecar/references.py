"""Pinned references: what a model looked like when somebody said "this is good"; one JSON file, written atomically."""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from locant_slo.catalogue.metrics import SEQUENCE_LENGTH
from locant_slo.errors import ConfigError, MachineError

_LOG = logging.getLogger("locant.agent")
_VERSION_FIELD = "model_version"
Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lengths(_Closed):
    """Lengths of new sequences on the catalogue's fixed edges; `counts` is one longer than the edges."""

    counts: tuple[Count, ...]
    sum_tokens: Finite


class Sum(_Closed):
    """A sum and how many values went into it."""

    total: Finite
    count: Count


class LayerEntropy(_Closed):
    """Attention entropy of one layer: nats summed over sampled rows per head, and the rows."""

    totals: tuple[Finite, ...]
    rows: Count


class Reference(_Closed):
    """One model's reference release. A part that was not measured is None or empty, and nothing is compared with it."""

    model_version: str
    lengths: Lengths | None = None
    canary: dict[str, bool] = {}
    loss: dict[str, Sum] = {}
    entropy: dict[int, LayerEntropy] = {}


class References(_Closed):
    """References by model name, and the edges that they were counted on."""

    schema_version: Literal["locant/references/v1"] = "locant/references/v1"
    edges: tuple[float, ...] = SEQUENCE_LENGTH.buckets
    models: dict[str, Reference] = {}

    @model_validator(mode="after")
    def _same_edges(self) -> References:
        if self.edges != SEQUENCE_LENGTH.buckets:
            raise ValueError(
                f"edges: {len(self.edges)} bucket edges differ from the catalogue's {len(SEQUENCE_LENGTH.buckets)}; "
                "distances between them mean nothing, pin the reference again with this release of Locant"
            )
        for name, reference in self.models.items():
            if reference.lengths is not None and len(reference.lengths.counts) != len(self.edges) + 1:
                raise ValueError(f"models.{name}.lengths.counts: needs {len(self.edges) + 1} buckets; pin it again")
        return self

    @classmethod
    def load(cls, path: str | Path) -> References:
        """The references of a file. Raises ConfigError with one sentence: path, what is wrong, cure."""
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); pin a reference there first") from None
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"])
            reason = fault["msg"].removeprefix("Value error, ")
            raise ConfigError(f"{path}: {where + ': ' if where else ''}{reason}") from None

    def save(self, path: str | Path) -> None:
        """Write the file so that a reader (or a crash) sees the old or the new one whole. Raises MachineError."""
        target = Path(path)
        try:
            _write_atomically(target, self.model_dump_json(indent=1).encode())
        except OSError as error:
            raise MachineError(f"{target}: the reference cannot be written ({error.strerror})") from None

    def with_model(self, name: str, reference: Reference) -> References:
        """These references with one model's replaced. What was not measured stays, when the release is the same; a
        release of which nothing was measured replaces nothing."""
        known = self.models.get(name)
        measured = {part: value for part in Reference.model_fields if (value := getattr(reference, part))}
        if measured.keys() <= {_VERSION_FIELD}:
            return self
        if known is not None and known.model_version == reference.model_version:
            reference = known.model_copy(update=measured)
        return References(models={**self.models, name: reference})


def load_references(path: Path | None) -> References:
    """The references of a configured path: none where no path is set or nothing was pinned there yet (logged)."""
    if path is None:
        return References()
    if not path.exists():
        _LOG.warning("%s: no reference is pinned there yet; drift and regression wait for one", path)
        return References()
    return References.load(path)


def _write_atomically(target: Path, content: bytes) -> None:
    """Temporary file beside the target, fsync, rename, fsync of the folder."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
