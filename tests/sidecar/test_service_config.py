"""Configuration and reference files: one precedence, and every fault a sentence with path, value and cure."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.sidecar.config import AgentConfig, load_config
from locant.sidecar.references import (
    LayerEntropy,
    Lengths,
    PassTime,
    PinnedCost,
    Reference,
    References,
    Sum,
    load_references,
)
from locant_slo.catalogue.metrics import SEQUENCE_LENGTH
from locant_slo.errors import ConfigError

BUCKETS = len(SEQUENCE_LENGTH.buckets) + 1


def written(folder: Path, text: str) -> Path:
    path = folder / "locant.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_hold() -> None:
    assert load_config(environment={}) == AgentConfig()


def test_file_environment_and_overrides_win_in_this_order(tmp_path: Path) -> None:
    path = written(tmp_path, "latency_target_seconds: 0.05\nseries_limit: 300\nmemory_factor: 3\n")
    environment = {"LOCANT_SERIES_LIMIT": "400", "LOCANT_MEMORY_FACTOR": "4", "LOCANT_UNRELATED": "x", "HOME": "/"}
    config = load_config(path, {"memory_factor": 5.0}, environment)
    assert (config.latency_target_seconds, config.series_limit, config.memory_factor) == (0.05, 400, 5.0)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCANT_DEBUG_METRICS", "true")
    assert load_config().debug_metrics


def test_seconds_may_be_numbers_or_durations(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "drift_window_seconds: 6h\notlp_interval_seconds: 15\n"), environment={})
    assert (config.drift_window_seconds, config.otlp_interval_seconds) == (21_600, 15)


def test_the_sockets_mode_is_octal_as_chmod_writes_it(tmp_path: Path) -> None:
    for text in ("socket_mode: 0666", "socket_mode: '0666'", "socket_mode: '666'"):
        assert load_config(written(tmp_path, text), environment={}).socket_mode == 0o666


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "# nothing yet\n"), environment={}) == AgentConfig()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("latency: 1", "latency: is no setting; choose one of debug_metrics, "),
        ("latency_target_seconds: 0", "latency_target_seconds: 0 is refused: input should be greater than 0"),
        ("latency_target_seconds: fast", "latency_target_seconds: 'fast' is refused: 'fast' is no duration; write"),
        ("drift_window_seconds: .inf", "drift_window_seconds: inf is refused: input should be a finite number"),
        ("series_limit: many", "series_limit: 'many' is refused: input should be a valid integer"),
        ("web_listen_address: 9466", "web_listen_address: 9466 is refused: input should be a valid string"),
        ("web_listen_address: localhost", "web_listen_address: 'localhost' is refused: is no host:port"),
        ("web_listen_address: a:99999", "web_listen_address: 'a:99999' is refused: is no host:port"),
        ("otlp_endpoint: grpc://x", "otlp_endpoint: 'grpc://x' is refused: is no OTLP/HTTP endpoint"),
        ("socket_mode: 999", "socket_mode: 999 is refused: input should be less than or equal to 511"),
        ("socket_mode: '8'", "socket_mode: '8' is refused: invalid literal for int() with base 8"),
        ("- 1", "holds list, not fields"),
        ("1: 2", "holds dict, not fields"),
        ("a: [", "is no YAML"),
        ("a: !!python/object/apply:os.system ['true']", "is no YAML"),
    ],
)
def test_a_fault_is_a_sentence_with_the_path(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_config(path, environment={})
    assert str(raised.value).startswith(f"{path}: ")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(written(tmp_path, "memory_factor: 0\nseries_limit: 1\n"), environment={})
    assert len(str(raised.value).splitlines()) == 2


def test_a_missing_or_unreadable_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read \(No such file or directory\)"):
        load_config(tmp_path / "nowhere.yaml", environment={})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match=r"binary\.yaml: is no YAML"):
        load_config(tmp_path / "binary.yaml", environment={})


@given(st.text(max_size=60))
@settings(max_examples=50)
def test_any_text_is_a_configuration_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("config") / "locant.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with suppress(ConfigError):
        load_config(path, environment={})


# --- references

finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.lists(st.integers(0, 10**9), min_size=BUCKETS, max_size=BUCKETS).map(tuple)
measured = st.builds(
    Reference,
    model_version=st.text(max_size=8),
    lengths=st.none() | st.builds(Lengths, counts=counts, sum_tokens=finite),
    canary=st.dictionaries(st.text(max_size=8), st.booleans(), max_size=4),
    loss=st.dictionaries(st.sampled_from(["begin", "end"]), st.builds(Sum, total=finite, count=st.integers(0, 99))),
    entropy=st.dictionaries(
        st.integers(0, 3),
        st.builds(LayerEntropy, totals=st.lists(finite, max_size=4).map(tuple), rows=st.integers(0, 99)),
    ),
    costs=st.none()
    | st.builds(
        PinnedCost,
        machine=st.text(max_size=8),
        passes=st.lists(
            st.builds(
                PassTime,
                phase=st.sampled_from(["prefill", "decode"]),
                rows=st.integers(0, 9),
                tokens_step=st.integers(-1, 60),
                cache_step=st.integers(-1, 60),
                seconds=st.floats(1e-9, 1e9),
            ),
            max_size=3,
        ).map(tuple),
        cache_bytes_per_token=st.none() | st.floats(1, 1e9),
    ),
)


@given(st.dictionaries(st.text(max_size=8), measured, max_size=3))
@settings(max_examples=50)
def test_references_survive_the_disk_unchanged(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Reference]
) -> None:
    path = tmp_path_factory.mktemp("references") / "reference.json"
    references = References(models=models)
    references.save(path)
    assert References.load(path) == references


def test_a_reference_on_other_edges_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    References().save(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "edges": [1, 2, 4]}))
    with pytest.raises(ConfigError, match=r"edges: 3 bucket edges differ from .* 28; .*pin"):
        References.load(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema_version": "locant/references/v9"}',
        '{"surprise": 1}',
        '{"models": {"m": {"model_version": "r1", "lengths": {"counts": [1, 2], "sum_tokens": 3}}}}',
        '{"models": {"m": {"model_version": "r1", "loss": {"begin": {"total": NaN, "count": 1}}}}}',
    ],
)
def test_a_broken_reference_is_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "reference.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        References.load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_failed_write_leaves_the_old_reference_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "reference.json"
    References().save(path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="No space left on device"):
        References(models={"m": Reference(model_version="r1", canary={"a": True})}).save(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["reference.json"]


def test_a_configured_reference_that_is_not_pinned_yet_is_none_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="locant.agent"):
        assert load_references(tmp_path / "later.json") == References()
    assert "no reference is pinned there yet" in caplog.text
    assert load_references(None) == References()
