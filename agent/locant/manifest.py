"""The positional manifest of a release: what `locant fingerprint` writes and later releases are compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec

from locant.observation import ModelProfile
from locant_slo.errors import ConfigError

SCHEMA = "locant-manifest/1"
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
_SAME_WEIGHTS_ONLY = frozenset({"parameters"})
PHASE_TOLERANCE = 1e-4
"""cos and sin of two healthy float32 tables differ by less; a wrong theta differs by order 1 (probing notes)."""


@dataclass(frozen=True, slots=True)
class RotaryPrint:
    """One rotary module: checksum of its inverse frequencies, and cos of every pair at a few fixed positions."""

    module: str
    kind: str
    dtype: str
    checksum: str
    attention_factor: float
    phases: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TablePrint:
    """One position table: rows, columns, dtype and checksum of its content as float32."""

    module: str
    rows: int
    columns: int
    dtype: str
    checksum: str


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """Log-probabilities (nats) of the likeliest tokens after `position` tokens of the fixed canary."""

    position: int
    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.log_probabilities):
            raise ValueError(f"golden row {self.position}: as many log-probabilities as tokens must be given")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything positional about one release of one model."""

    model: str
    model_version: str
    profile: ModelProfile
    rotaries: tuple[RotaryPrint, ...] = ()
    tables: tuple[TablePrint, ...] = ()
    golden: tuple[GoldenRow, ...] = ()
    dtype: str = "float32"
    schema: str = SCHEMA


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two releases. `harmful`: positions no longer mean what the reference's weights learnt."""

    what: str
    before: str
    after: str
    harmful: bool

    @property
    def sentence(self) -> str:
        """The change in words."""
        return f"{self.what}: {self.before} became {self.after}"


def write_manifest(manifest: Manifest) -> str:
    """The manifest as JSON text."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode() + "\n"


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file. Raises ConfigError with path, reason and cure."""
    try:
        data = _bytes_of(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); write one with `locant fingerprint`") from error
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # ValueError: bytes that are no UTF-8
        raise ConfigError(f"{path}: is no manifest ({error}); write one with `locant fingerprint`") from error
    if manifest.schema != SCHEMA:
        raise ConfigError(f"{path}: schema {manifest.schema!r} is not {SCHEMA!r}; write it again with this release")
    return manifest


def _bytes_of(path: Path) -> bytes:
    """What the file holds; of one that is too large to be a manifest no more than shows that it is none."""
    with path.open("rb") as file:
        return file.read(MAX_MANIFEST_BYTES + 1)


def is_manifest(path: Path) -> bool:
    """Whether the file says of itself that it is a manifest; a file that cannot be read is none."""
    try:
        head = msgspec.json.decode(_bytes_of(path))
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return False
    return isinstance(head, dict) and str(head.get("schema", "")).startswith("locant-manifest/")


def compare(reference: Manifest, current: Manifest) -> tuple[Change, ...]:
    """What changed from `reference` to `current`, harmful changes first."""
    changes = [*_profile(reference, current), *_rotaries(reference, current), *_tables(reference, current)]
    changes += _golden(reference, current)
    return tuple(sorted(changes, key=lambda change: not change.harmful))


def _profile(reference: Manifest, current: Manifest) -> Iterator[Change]:
    for field in fields(ModelProfile):
        before, after = getattr(reference.profile, field.name), getattr(current.profile, field.name)
        if before != after and field.name != "config_hash":
            harmful = field.name not in _SAME_WEIGHTS_ONLY and field.name != "cache_bytes_per_token"
            yield Change(field.name, str(before), str(after), harmful)


def _rotaries(reference: Manifest, current: Manifest) -> Iterator[Change]:
    after = {one.module: one for one in current.rotaries}
    for before in reference.rotaries:
        now = after.pop(before.module, None)
        if now is None:
            yield Change(f"rotary {before.module}", before.kind, "gone", harmful=True)
            continue
        error = _largest_difference(before.phases, now.phases)
        if error > PHASE_TOLERANCE or before.kind != now.kind:
            yield Change(
                f"rotary {before.module}", before.kind, f"{now.kind} with phases off by {error:.3g}", harmful=True
            )
        elif before.dtype != now.dtype:
            yield Change(f"rotary {before.module} dtype", before.dtype, now.dtype, harmful=False)
        if abs(before.attention_factor - now.attention_factor) > 1e-6 * abs(before.attention_factor):
            what = f"rotary {before.module} attention factor"
            yield Change(what, f"{before.attention_factor:.6g}", f"{now.attention_factor:.6g}", harmful=True)
    for name, new in after.items():
        yield Change(f"rotary {name}", "absent", new.kind, harmful=True)


def _tables(reference: Manifest, current: Manifest) -> Iterator[Change]:
    after = {one.module: one for one in current.tables}
    for before in reference.tables:
        now = after.pop(before.module, None)
        if now is None:
            yield Change(f"table {before.module}", f"{before.rows} rows", "gone", harmful=True)
        elif (now.rows, now.columns) != (before.rows, before.columns):
            size = f"{before.rows} x {before.columns}"
            yield Change(f"table {before.module}", size, f"{now.rows} x {now.columns}", harmful=now.rows < before.rows)
        elif now.checksum != before.checksum:
            yield Change(f"table {before.module} content", before.checksum, now.checksum, harmful=False)
    for name, new in after.items():
        yield Change(f"table {name}", "absent", f"{new.rows} rows", harmful=True)


def _golden(reference: Manifest, current: Manifest) -> Iterator[Change]:
    """Log-probabilities on the canary: noise is flat over positions, a positional fault grows with them."""
    after = {row.position: row for row in current.golden}
    pairs = [(row, after[row.position]) for row in reference.golden if row.position in after]
    if len(pairs) < 4 or reference.profile.parameters != current.profile.parameters:
        return
    drifts = [_drift(before, now) for before, now in pairs]
    noise = 1e-3 if (reference.dtype, current.dtype) == ("float32", "float32") else 0.3
    half = len(drifts) // 2
    early, late = sum(drifts[:half]) / half, sum(drifts[half:]) / (len(drifts) - half)
    if max(early, late) > noise:
        shape = "growing with position" if late > 2 * early else "flat over positions"
        yield Change("canary log-probabilities", "0 nats", f"{late:.3g} nats off, {shape}", harmful=late > 2 * early)


def _drift(before: GoldenRow, now: GoldenRow) -> float:
    known = dict(zip(now.tokens, now.log_probabilities, strict=True))
    floor = min(now.log_probabilities, default=0.0)
    pairs = list(zip(before.tokens, before.log_probabilities, strict=True))
    return sum(abs(value - known.get(token, floor)) for token, value in pairs) / max(1, len(pairs))


def _largest_difference(before: tuple[float, ...], after: tuple[float, ...]) -> float:
    if len(before) != len(after) or not all(map(math.isfinite, (*before, *after))):
        return math.inf  # uninitialised memory may hold no numbers, and a NaN is in no order
    return max((abs(a - b) for a, b in zip(before, after, strict=True)), default=0.0)
