"""A model that came under watch, what is known of its positions, and that it left."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The positions that one part of a model has: rows of its table, base included, and the index of its first."""

    scheme: str
    base: int
    table_rows: int


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """What is known for certain about a model's positions. None where the model does not say."""

    family: str  # the transformers model_type, or the class name of a plain module
    scheme: str  # learned, sinusoidal, rope, mrope, alibi, relative_bias, patches_2d, none, unknown
    kind: str  # decoder, encoder, encoder_decoder
    absolute: bool  # a constant shift of all positions changes the output
    base: int  # effective position of the first real token in an absolute family
    trained_tokens: int | None  # the length the model was trained for (after scaling)
    table_rows: int | None  # rows of the table that positions index, base included, empty ones at its end left out
    pad_id: int | None
    separator_id: int | None
    token_types: int  # 0 when the model has no token types
    window: int | None  # sliding window where every layer has the same, else None
    causal: bool
    layers: int
    heads: int
    head_size: int | None
    cache_bytes_per_token: int | None  # expected KV bytes per token and sequence, all layers
    config_hash: str
    parameters: int  # number of weights
    encoder: Limits | None = None  # of an encoder-decoder's encoder; everything above is its decoder's


RELEASE_HARM, RELEASE_NOTE = "release_harm", "release_note"
"""`Deviation.what` of a difference from the pinned manifest: one that changes what positions mean, and any other."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A positional parameter of the model beside what its configuration says it must be (float64).

    `what` is inv_freq, rotary_size, attention_factor, slopes, table, rotary_output, dtype, or one of the two words
    above; `relative_error` is the largest one.
    """

    module: str
    what: str
    relative_error: float
    expected: str
    found: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ModelAttached:
    """A model came under watch; sent again when its positional parameters change. `machine`: what computes it, in words
    that are equal on machines of one kind; empty where nobody knows."""

    model_id: int
    time: float
    model: str
    model_version: str
    profile: ModelProfile
    deviations: tuple[Deviation, ...] = ()
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Detached:
    """The watch was closed."""

    model_id: int
    time: float
