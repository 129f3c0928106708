"""What the agent can be told, and where from: defaults < YAML file < environment < command-line overrides."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from locant_slo.durations import parse_duration
from locant_slo.errors import ConfigError

ENVIRONMENT_PREFIX = "LOCANT_"
"""`LOCANT_LATENCY_TARGET_SECONDS=0.05` sets `latency_target_seconds`; other variables are left alone."""


def _seconds(value: object) -> object:
    """Take `250`, `0.1` and `5m` alike; pydantic words what is neither."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return float(parse_duration(value))


def _octal(value: object) -> object:
    """Take `"0660"` as chmod does; YAML reads an unquoted 0660 as octal by itself."""
    return int(value, 8) if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]


class AgentConfig(BaseModel):
    """Everything the agent can be told. Unknown fields are refused.

    A sequence's memory budget is `memory_factor * cache bytes per token * tokens + memory_constant_bytes`, padding
    included (that waste has an indicator of its own); raise the constant for static caches, which reserve all at once.
    `snapshot_path`: where the pass that shows a finding is kept, for `locant findings show`; None keeps none.
    A model that says nothing for `silent_model_seconds` is forgotten with all its series: keep that well above the
    silent-probe alert's time, or there is nothing left to alert on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_target_seconds: Seconds = 0.1
    memory_factor: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5
    memory_constant_bytes: Annotated[int, Field(ge=0)] = 16 * 1024 * 1024
    padding_attention_limit: Share = 0.01

    drift_limit_octaves: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.25
    drift_minimum_sequences: Annotated[int, Field(ge=1)] = 1000
    drift_window_seconds: Seconds = 86_400.0

    entropy_limit_nats: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    entropy_minimum_rows: Annotated[int, Field(ge=2)] = 200
    loss_limit_nats: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1

    series_limit: Annotated[int, Field(ge=100)] = 2000
    finding_capacity: Annotated[int, Field(ge=1)] = 256
    debug_metrics: bool = False
    detach_grace_seconds: Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)] = 120.0
    silent_model_seconds: Seconds = 21_600.0
    reference_path: Path | None = None
    state_path: Path | None = None
    state_interval_seconds: Seconds = 30.0

    snapshot_path: Path | None = None
    snapshot_limit_bytes: Annotated[int, Field(ge=65_536)] = 64 * 1024 * 1024
    snapshot_age_seconds: Seconds = 7 * 86_400.0

    web_listen_address: str = "127.0.0.1:9466"
    web_config_file: Path | None = None
    socket_path: Path = Path("/run/locant/agent.sock")
    socket_mode: Annotated[int, BeforeValidator(_octal), Field(ge=0o600, le=0o777)] = 0o660
    socket_allowed_uids: tuple[Annotated[int, Field(ge=0)], ...] = ()

    otlp_endpoint: str | None = None
    otlp_interval_seconds: Seconds = 60.0
    mlflow_run_id: str | None = None
    wandb_run_id: str | None = None
    tracker_interval_seconds: Seconds = 300.0

    @field_validator("web_listen_address")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        _, colon, port = value.rpartition(":")
        if not (colon and port.isdecimal() and int(port) < 65_536):
            raise ValueError("is no host:port; write 127.0.0.1:9466, or :9466 for every address")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("is no OTLP/HTTP endpoint; it starts with http:// or https://")
        return value


def load_config(
    path: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> AgentConfig:
    """The configuration from a YAML file (None: defaults), the environment and overrides, the last one winning.

    `environment` is the process's own unless another is given.
    Raises ConfigError with a sentence per fault: path, value, cure.
    """
    source = str(path) if path is not None else "configuration"
    seen = os.environ if environment is None else environment
    merged = {**_read(Path(path) if path is not None else None), **_from(seen), **(overrides or {})}
    try:
        return AgentConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {_sentence(fault)}" for fault in error.errors())) from None


def _from(environment: Mapping[str, str]) -> dict[str, str]:
    names = {f"{ENVIRONMENT_PREFIX}{field.upper()}": field for field in AgentConfig.model_fields}
    return {names[variable]: value for variable, value in environment.items() if variable in names}


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a readable YAML file") from None
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:  # what PyYAML's values raise
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: is no YAML ({reason}); correct the file") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: holds {type(content).__name__}, not fields; write `name: value` lines")
    return content


def _sentence(fault: Any) -> str:
    field = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{field}: is no setting; choose one of {', '.join(sorted(AgentConfig.model_fields))}"
    reason = fault["msg"].removeprefix("Value error, ")
    return f"{field}: {reprlib.repr(fault['input'])} is refused: {reason[0].lower()}{reason[1:]}"
