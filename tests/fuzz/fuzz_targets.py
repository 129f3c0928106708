"""What reads from outside, as functions of bytes: each returns, or refuses in its own words; anything else is a bug."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from fuzz_seeds import (
    CANARY,
    CONFIG,
    DUMP,
    HISTORY,
    INCIDENTS,
    OBSERVATIONS,
    OPENSLO,
    POD,
    RESULTS,
    SLOTH,
    SPEC,
    WEB,
    WORDS,
)

from locant.canary.report import load_results
from locant.canary.suite import LABEL_FREE, load_suite
from locant.kubernetes.inject import inject
from locant.kubernetes.sidecar import Injection
from locant.manifest import Manifest, read_manifest, write_manifest
from locant.observation import ModelAttached, Observation
from locant.sidecar.config import AgentConfig, load_config
from locant.sidecar.judge import Judge
from locant.sidecar.references import References
from locant.sidecar.saved import SavedState
from locant.sidecar.service import Agent
from locant.sidecar.state_file import load_state
from locant.wire.codec import decode, decode_losses, encode, encode_losses
from locant.wire.frame import Frame, FrameError, FrameKind, pack, unpack
from locant.wire.peer import Probe
from locant.wire.request import LookRequest, decode_request, encode_request
from locant_alerts.history.csv_file import read_csv, read_incidents
from locant_alerts.history.tsdb import read_dump
from locant_exporters.address import parse_address
from locant_exporters.basic_auth import Users
from locant_exporters.exposition import choose_format
from locant_exporters.web_config import load_web_config
from locant_slo.catalogue import metrics
from locant_slo.durations import parse_duration
from locant_slo.errors import LocantError
from locant_slo.interop.importing import import_text
from locant_slo.load import parse_specs
from locant_slo.moments import parse_moment
from locant_slo.snapshot import Sample
from support.agent_process import ATTACHED, PROFILE

Read = Callable[[bytes], object]
_FOLDER = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: good inputs to start from, and how it reads bytes."""

    name: str
    seeds: tuple[bytes, ...]
    read: Read


def _frame(data: bytes) -> None:
    with contextlib.suppress(FrameError):
        frame = unpack(data)
        read = {FrameKind.HEARTBEAT: decode_losses, FrameKind.REQUEST: decode_request}.get(frame.kind, decode)
        read(frame.payload)


class _Fed:
    """A judging agent that decoded payloads end in; it may refuse them, not grow by them."""

    def __init__(self) -> None:
        logging.getLogger("locant.agent").setLevel(logging.CRITICAL)
        self._agent = Agent(AgentConfig(debug_metrics=True), Judge())
        self._read = 0

    def __call__(self, data: bytes) -> None:
        self._read += 1
        try:
            observations, _ = decode(data)
        except FrameError:
            return
        self._agent.ingest([ATTACHED, *self._renumbered(observations)])
        if self._read % 1024 == 0:
            self._weigh()

    def _renumbered(self, observations: Iterable[Observation]) -> Iterable[Observation]:
        for one in observations:
            probe = Probe(0, numbers={one.model_id: 1 + self._read % 4})
            introduced = set() if isinstance(one, ModelAttached) else {one.model_id}
            yield probe.renumber(one, introduced, 99, lambda: 1)

    def _weigh(self) -> None:
        families = {family.metric: family.samples for family in self._agent.snapshot().families}
        [series] = families[metrics.SERIES]
        assert isinstance(series, Sample)
        assert series.value <= AgentConfig().series_limit


def _file(read: Callable[[Path], object]) -> Read:
    folder = Path(tempfile.mkdtemp(dir=_FOLDER, prefix="locant-fuzz-"))

    def through_a_file(data: bytes) -> None:
        path = folder / "file.yaml"
        path.write_bytes(data)
        with contextlib.suppress(LocantError):
            read(path)

    return through_a_file


def _text(read: Callable[[str], object]) -> Read:
    def from_text(data: bytes) -> None:
        with contextlib.suppress(LocantError):
            read(data.decode("utf-8", "replace"))

    return from_text


def _small_words(text: str) -> None:
    choose_format(text)
    Users({"a": "$2y$04$" + "x" * 53}).admits(text)
    for parse in (parse_duration, parse_moment):
        with contextlib.suppress(ValueError):
            parse(text)
    parse_address(text)


def _checked(read: Read) -> Read:
    """The body of a state file: damage behind a checksum that fits goes deeper than damage that it finds."""
    return lambda body: read(b"locant-state/v1 %08x\n" % zlib.crc32(body) + body)


def _incidents(path: Path) -> object:
    return read_incidents(path, 0.0, 60, 1000)


def targets() -> tuple[Target, ...]:
    """Every parser that meets bytes from outside."""
    logging.getLogger("locant.agent").setLevel(logging.CRITICAL)
    payloads = tuple(encode([one]) for one in OBSERVATIONS)
    frames = (*(pack(Frame(FrameKind.OBSERVATIONS, 7, 1, 2, 3.0, payload)) for payload in payloads),)
    beat = pack(Frame(FrameKind.HEARTBEAT, 7, 1, 2, 3.0, encode_losses({"queue_full": 3})))
    wish = pack(Frame(FrameKind.REQUEST, 7, 1, 2, 3.0, encode_request(LookRequest(3, "prefill"))))
    manifest = write_manifest(Manifest("m", "v", PROFILE)).encode()
    return (
        Target("frame", (*frames, beat, wish), _frame),
        Target("payload", payloads, _Fed()),
        Target("spec", (SPEC,), _text(lambda text: parse_specs(text, "spec"))),
        Target("interop", (SLOTH, OPENSLO), _text(lambda text: import_text(text, "spec"))),
        Target("config", (CONFIG,), _file(lambda path: load_config(path, environment={}))),
        Target("web-config", (WEB,), _file(load_web_config)),
        Target("suite", (CANARY, LABEL_FREE.model_dump_json().encode()), _file(load_suite)),
        Target("results", (RESULTS,), _file(load_results)),
        Target("manifest", (manifest,), _file(read_manifest)),
        Target("references", (References().model_dump_json().encode(),), _file(References.load)),
        Target("state", (b"locant-state/v1 00000000\n{}",), _file(load_state)),
        Target("state-body", (msgspec.json.encode(SavedState()),), _checked(_file(load_state))),
        Target("pod", (POD,), _text(lambda text: inject(text, Injection()))),
        Target("history", (HISTORY,), _file(read_csv)),
        Target("dump", (DUMP,), _text(lambda text: read_dump(text.splitlines()))),
        Target("incidents", (INCIDENTS,), _file(_incidents)),
        Target("words", WORDS, _text(_small_words)),
    )


def together() -> Target:
    """All of them as one: the first byte says which."""
    every = targets()
    seeds = tuple(bytes([number]) + seed for number, target in enumerate(every) for seed in target.seeds)
    return Target("together", seeds, lambda data: every[data[0] % len(every)].read(data[1:]) if data else None)
