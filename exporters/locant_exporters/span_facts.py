"""What spans say: the model, a batch, a finished pass, as plain values and as attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from locant_exporters import semconv

_MOST_LENGTHS = 64
"""Rows whose length is listed one by one: a span must not grow with the batch."""
Attribute = str | bool | int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What spans say about the model. Empty fields say nothing."""

    name: str
    version: str = ""
    scheme: str = ""
    trained_tokens: int | None = None
    config_hash: str = ""
    provider: str = "self_hosted"


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences side by side: real tokens of each row, and the padding among all of them."""

    lengths: tuple[int, ...]
    padding_tokens: int = 0
    truncated: int | None = None  # rows that were cut to fit


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """One finished forward pass, as plain numbers. `ended_at` is in Unix seconds; ids are hexadecimal, "" for none."""

    phase: str
    ended_at: float
    duration_seconds: float
    batch: Batch
    trace_id: str = ""
    span_id: str = ""
    cached_tokens: int | None = None
    largest_position: int | None = None
    positions_given: bool | None = None
    error: str = ""  # class name of what the model raised


def model_attributes(model: ServedModel) -> dict[str, Attribute]:
    """Positional configuration and release."""
    return known(
        {
            semconv.MODEL_VERSION: model.version,
            semconv.SCHEME: model.scheme,
            semconv.TRAINED_TOKENS: model.trained_tokens,
            semconv.CONFIG_HASH: model.config_hash,
        }
    )


def batch_attributes(batch: Batch) -> dict[str, Attribute]:
    """Lengths, the first rows one by one."""
    return known(
        {
            semconv.SEQUENCES: len(batch.lengths),
            semconv.LENGTHS: batch.lengths[:_MOST_LENGTHS],
            semconv.LONGEST: max(batch.lengths, default=0),
            semconv.REAL_TOKENS: sum(batch.lengths),
            semconv.PADDING_TOKENS: batch.padding_tokens,
            semconv.TRUNCATED: batch.truncated,
        }
    )


def pass_attributes(forward: ForwardPass) -> dict[str, Attribute]:
    """What the pass did, without its batch."""
    return known(
        {
            semconv.PHASE: forward.phase,
            semconv.CACHED_TOKENS: forward.cached_tokens,
            semconv.LARGEST_POSITION: forward.largest_position,
            semconv.POSITIONS_GIVEN: forward.positions_given,
        }
    )


def known(attributes: Mapping[str, Attribute | None]) -> dict[str, Attribute]:
    """Without what nobody knows."""
    return {name: value for name, value in attributes.items() if value is not None and value != ""}
