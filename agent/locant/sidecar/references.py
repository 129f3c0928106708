"""Pinned references: what a model looked like when somebody said "this is good"; one JSON file, written atomically."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from locant_slo.catalogue.metrics import SEQUENCE_LENGTH
from locant_slo.errors import ConfigError, MachineError

_LOG = logging.getLogger("locant.agent")
_PROVENANCE = frozenset({"model_version", "pinned_at", "counted_since"})
"""Fields that say whose a reference is, and measure nothing."""
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


class PassTime(_Closed):
    """How long a pass of one kind takes. A step is a quarter of an octave of tokens; -1 for none."""

    phase: str
    rows: Count
    tokens_step: int
    cache_step: int
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class PinnedCost(_Closed):
    """Time per pass, which holds on machines of one kind, and bytes per token and sequence that caches grow by."""

    machine: str
    passes: tuple[PassTime, ...] = ()
    cache_bytes_per_token: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class Reference(_Closed):
    """One model's reference release. A part that was not measured is None or empty, and nothing is compared with it.

    `pinned_at`: when the release looked like this; `counted_since`: when counting began, None where nobody knows.
    """

    model_version: str
    pinned_at: AwareDatetime | None = None
    counted_since: AwareDatetime | None = None
    lengths: Lengths | None = None
    canary: dict[str, bool] = {}
    loss: dict[str, Sum] = {}
    entropy: dict[int, LayerEntropy] = {}
    costs: PinnedCost | None = None


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
                "distances between them mean nothing"
            )
        for name, reference in self.models.items():
            if reference.lengths is not None and len(reference.lengths.counts) != len(self.edges) + 1:
                raise ValueError(f"models.{name}.lengths.counts: needs {len(self.edges) + 1} buckets")
        return self

    @classmethod
    def load(cls, path: str | Path) -> References:
        """The references of a file. Raises ConfigError with one sentence: path, what is wrong, cure."""
        found = read_if_there(Path(path))
        if found is None:
            raise ConfigError(f"{path}: there is no such file; name a reference that `locant pin` wrote")
        return found

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
        if measured.keys() <= _PROVENANCE:
            return self
        if known is not None and known.model_version == reference.model_version:
            reference = known.model_copy(update=measured)
        return References(models={**self.models, name: reference})


def load_references(path: Path | None) -> References:
    """The references of a configured path: none where no path is set or nothing was pinned there yet (logged)."""
    if path is None:
        return References()
    references = read_if_there(path)
    if references is None:
        _LOG.warning("%s: no reference is pinned there yet; drift and regression wait for one", path)
    return references or References()


def read_if_there(path: Path) -> References | None:
    """The references of a file, None where there is no file. Raises ConfigError as `References.load` does."""
    try:
        return References.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a file that the agent may read") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        reason = f"{where + ': ' if where else ''}{fault['msg'].removeprefix('Value error, ')}"
        raise ConfigError(f"{path}: is no reference ({reason}); write one with `locant pin`") from None


def _write_atomically(target: Path, content: bytes) -> None:
    """Temporary file beside the target, fsync, rename, fsync of the folder. Readable as the umask allows: whoever pins
    is often not who runs the agent, and it says nothing that the metrics page does not."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        temporary.unlink()  # of a process with our id that died here
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
