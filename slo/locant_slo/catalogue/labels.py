"""The labels and their closed value sets. No request id, no prompt and no user ever becomes a label."""

from __future__ import annotations

from dataclasses import dataclass

from locant_slo.findings import FailureMode, Severity


@dataclass(frozen=True, slots=True)
class Label:
    """A label name with the values it may take; `values=()` means bounded by deployment (models, layers), not by us."""

    name: str
    help: str
    values: tuple[str, ...] = ()


MODEL = Label("model", "the model's name as `watch` was told or found it")
MODEL_VERSION = Label("model_version", "the release: a revision, a tag or the configuration's checksum")
INDICATOR = Label("indicator", "the service level indicator's id")  # values: locant_slo.indicators
FAILURE_MODE = Label("failure_mode", "the code of the failure mode", tuple(m.value for m in FailureMode))
SEVERITY = Label("severity", "how soon somebody must look", tuple(s.value for s in Severity))
CHECK = Label("check", "the stable name of the check that judged")  # values: locant.sidecar.checks
PHASE = Label("phase", "what the forward pass did", ("prefill", "decode", "encode"))
OUTCOME = Label("outcome", "how it ended", ("ok", "error"))
TOKEN_KIND = Label("kind", "real tokens or padding", ("real", "padding"))
LENGTH_BUCKET = Label(
    "length_bucket",
    "the sequence length as a share of the trained length",
    ("up_to_1_8", "up_to_1_4", "up_to_1_2", "up_to_1", "up_to_2", "beyond_2", "unknown"),
)
POSITION_BUCKET = Label(
    "position_bucket",
    "fifths of the trained length, and beyond",
    ("begin", "early", "middle", "late", "end", "beyond"),
)
LAYER = Label("layer", "the layer's index, from 0")
HEAD = Label("head", "the head's index, from 0")
STATISTIC = Label(
    "statistic",
    "an attention statistic of sampled query rows",
    (
        "padding_mass",
        "cross_mass",
        "future_mass",
        "window_mass",
        "first_token_mass",
        "self_mass",
        "recency_mass",
        "largest_weight",
    ),
)
QUERY_BIN = Label("query_bin", "where in the sequence the query sits: the bin's lower edge as a ratio, two digits")
KEY_BIN = Label("key_bin", "where in the sequence the key sits: the bin's lower edge as a ratio, two digits")
TASK = Label("task", "the canary task", ("copy", "reverse", "order", "passkey", "stream", "padding", "shift"))
RESULT = Label("result", "how it was judged", ("pass", "fail", "skipped"))
REASON = Label(
    "reason",
    "why something was dropped",
    (
        "queue_full",
        "decode_error",
        "series_limit",
        "invalid",
        "closed",
        "disconnected",  # no agent was there
        "oversize",  # larger than a frame may be
        "refused",  # a peer or a frame that the agent does not take
        "lost",  # left the probe and never came
    ),
)
SIGNAL = Label(
    "signal",
    "one kind of thing that the probe can see",
    ("positions", "mask", "cache", "keys", "rotary", "attention", "segments", "memory", "timing"),
)
PART = Label(
    "signal",
    "a part of the probe: one kind of thing that it sees, replay, the Triton kernels, whose work torch then does, "
    "or second graphs of a compiled model, which is then not seen",
    (*SIGNAL.values, "replay", "attention_kernel", "attention_graph"),
)
STAGE = Label("stage", "where the time went", ("capture", "drain", "judge", "snapshot"))
BY_SCRAPE, BY_OTLP, TO_STATE, TO_SNAPSHOTS = "prometheus", "otlp", "state", "snapshots"
TO_MLFLOW, TO_WANDB, TO_TRITON = "mlflow", "wandb", "triton"
PUSHED = (TO_MLFLOW, TO_WANDB, TO_TRITON)
"""Exporters that an agent is given a callable for."""
EXPORTER = Label(
    "exporter",
    "where the snapshot went; `state` is the file that outlives the agent, `snapshots` are passes kept for a finding",
    (BY_SCRAPE, BY_OTLP, *PUSHED, TO_STATE, TO_SNAPSHOTS),
)
LOOK = Label(
    "outcome",
    "what became of a pass wanted for a closer look: taken, refused by the overhead budget, or refused because one "
    "decode step would have been slowed too much",
    ("taken", "budget", "step"),
)
REQUEST = Label(
    "outcome",
    "what became of the agent's request to look at a whole pass: looked at one, refused (too soon, attention is not "
    "looked at, or no request at all), or expired before a pass came that the overhead budget could pay for",
    ("looked", "refused", "expired"),
)
SCHEME = Label("scheme", "the positional scheme")
BASELINE_VERSION = Label("baseline_version", "the release that this one is compared with")
