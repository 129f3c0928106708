"""Every parser that reads from outside, fed with damage: it answers or refuses in its own words, and never falls over.

Seeded mutations of good inputs, not guided by coverage. The suite runs a short round; for a long one:
LOCANT_FUZZ_ROUNDS=200 pytest tests/fuzz
"""

from __future__ import annotations

import logging
import os
import random
import re
import tracemalloc

import pytest
from fuzz_seeds import BOMB, CONFIG, OBSERVATIONS, OPENSLO, POD, SLOTH, SPEC, WEB

from locant.kubernetes.inject import inject
from locant.kubernetes.sidecar import Injection
from locant.observation import (
    AttentionFacts,
    CanaryFacts,
    ForwardFacts,
    ProbeHealth,
    RowFacts,
    StreamFacts,
)
from locant.sidecar.config import AgentConfig, load_config
from locant.sidecar.judge import Judge
from locant.sidecar.references import References
from locant.sidecar.saved import SavedState
from locant.sidecar.service import Agent
from locant.sidecar.state_file import load_state, save_state
from locant.wire.codec import decode, decode_losses, encode, encode_losses
from locant.wire.frame import Frame, FrameError, FrameKind, pack, unpack
from locant.wire.peer import Probe
from locant.wire.request import LookRequest, decode_request, encode_request
from locant_exporters.exposition import expose
from locant_exporters.prometheus import SnapshotCollector
from locant_exporters.web_config import load_web_config
from locant_slo.catalogue import metrics
from locant_slo.errors import ConfigError
from locant_slo.interop.importing import import_text
from locant_slo.load import load_specs
from support.agent_process import ATTACHED
from support.sidecar_traffic import attention, values

ROUNDS = int(os.environ.get("LOCANT_FUZZ_ROUNDS", "1"))
INTERESTING = (
    b"\x00",
    b"\xff",
    b"\x80",
    b"\x7f",
    b"\xc1",
    b"\xdf\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xcb\x7f\xf8" + bytes(6),
)
WORDS = (
    *("&a", "*a", "<<: *a", "!!python/object/apply:os.system [id]", "2024-13-45", "1e999", ".nan", "-.inf", "0x"),
    *(
        "9" * 5000,
        "[" * 2000,
        "{",
        "}",
        "- ",
        ": ",
        "\x00",
        "\ufeff",
        "\u2028",
        "null",
        "~",
        "true",
        "'",
        '"',
        "|",
        ">",
    ),
    *("%TAG", "---\n", "\t", "..", "!!timestamp x", "!!binary x", "? [a]", "12:99:99", "="),
)


def mutated(data: bytes, generator: random.Random) -> bytes:
    """Some bytes changed, cut, doubled or replaced by what parsers stumble over."""
    damaged = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 4, 16))):
        at = generator.randrange(len(damaged) + 1)
        kind = generator.randrange(6)
        if kind == 0 and at < len(damaged):
            damaged[at] ^= 1 << generator.randrange(8)
        elif kind == 1:
            del damaged[at : at + generator.randrange(1, 9)]
        elif kind == 2:
            damaged[at:at] = generator.choice(INTERESTING)
        elif kind == 3:
            damaged[at:at] = damaged[at : at + generator.randrange(1, 64)]
        elif kind == 4:
            damaged = damaged[:at]
        elif at < len(damaged):
            damaged[at] = generator.randrange(256)
    return bytes(damaged)


def rewritten(text: str, generator: random.Random) -> str:
    """Words put in and in place of values, lines cut and moved."""
    for _ in range(generator.choice((1, 1, 2, 4))):
        at = generator.randrange(len(text) + 1)
        kind = generator.randrange(5)
        if kind == 0:
            text = text[:at] + generator.choice(WORDS) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + generator.randrange(1, 12) :]
        elif kind == 2:
            lines = text.splitlines(keepends=True)
            generator.shuffle(lines)
            text = "".join(lines)
        elif kind == 3 and (spots := list(re.finditer(r": ([^\n,}]+)", text))):
            start, end = generator.choice(spots).span(1)
            text = text[:start] + generator.choice(WORDS) + text[end:]
        else:
            text = text[:at] + chr(generator.randrange(0x250)) + text[at:]
    return text


def test_frames_and_payloads():
    generator = random.Random(1)
    good = [pack(Frame(FrameKind.OBSERVATIONS, 7, 1, 2, 3.0, encode([one]))) for one in OBSERVATIONS]
    good += [pack(Frame(FrameKind.HEARTBEAT, 7, 1, 2, 3.0, encode_losses({"queue_full": 3})))]
    good += [pack(Frame(FrameKind.REQUEST, 7, 1, 2, 3.0, encode_request(LookRequest(3, "prefill"))))]
    refused = 0
    for _ in range(10_000 * ROUNDS):
        try:
            frame = unpack(mutated(generator.choice(good), generator))
            read = {FrameKind.OBSERVATIONS: decode, FrameKind.REQUEST: decode_request}.get(frame.kind, decode_losses)
            read(frame.payload)
        except FrameError:
            refused += 1
    assert refused > 1000


def test_what_decodes_never_breaks_the_agent_nor_makes_it_grow(caplog):
    caplog.set_level(logging.CRITICAL)
    generator = random.Random(2)
    agent = Agent(AgentConfig(debug_metrics=True), Judge())
    payloads = [encode([one]) for one in OBSERVATIONS[:-1]]
    tracemalloc.start()
    for number in range(3_000 * ROUNDS):
        try:
            observations, _ = decode(mutated(generator.choice(payloads), generator))
        except FrameError:
            continue
        probe = Probe(0, numbers={one.model_id: 1 + number % 4 for one in observations})
        known = {one.model_id for one in observations}
        agent.ingest([ATTACHED, *(probe.renumber(one, known, 99, lambda: 5) for one in observations)])
    expose(SnapshotCollector(agent.snapshot, names=frozenset()))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert values(agent.snapshot(), metrics.SERIES)[()] <= AgentConfig().series_limit
    assert held < 64 * 2**20


def test_numbers_at_their_limits_never_break_the_agent(caplog):
    caplog.set_level(logging.CRITICAL)
    generator = random.Random(3)
    agent = Agent(AgentConfig(debug_metrics=True), Judge())
    agent.ingest([ATTACHED])
    edges = (-(2**31), -1, 0, 1, 2**31 - 1)
    floats = (0.0, -1.0, 1e308, float("inf"), float("nan"), 5e-324)
    for number in range(500 * ROUNDS):
        row = RowFacts(*(generator.choice(edges) for _ in RowFacts._fields))
        large = generator.choice((2**63 - 1, -(2**63), 0))
        agent.ingest(
            [
                ForwardFacts(
                    1,
                    generator.choice(floats),
                    large,
                    generator.choice(("prefill", "decode", "encode", "?")),
                    generator.choice(floats),
                    large,
                    (row,) * generator.randrange(4),
                    cache_id=number,
                    table_growths=((large, large),),
                    cache_bytes=large,
                    positional_bytes=large,
                ),
                attention(layer=number * 7919, rows=large, entropy=generator.choice(floats), heat_bins=large),
                AttentionFacts(1, 0.0, large, 0, large, large, (), generator.choice(floats), *((),) * 8),
                CanaryFacts(
                    1, generator.choice(floats), str(number), "?", "?", False, True, None, (("x", 1e308, large),), True
                ),
                ProbeHealth(1, 0.0, ((str(number), large),), ((str(number), large),), generator.choice(floats)),
                StreamFacts(1, generator.choice(floats), large, large, "x" * 5000),
            ]
        )
    snapshot = agent.snapshot()
    assert values(snapshot, metrics.SERIES)[()] <= AgentConfig().series_limit
    save = agent.saved()
    assert len(save.releases) == 1
    expose(SnapshotCollector(agent.snapshot, names=frozenset()))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        pytest.param(CONFIG.decode(), lambda path: load_config(path, environment={}), id="config"),
        pytest.param(WEB.decode(), load_web_config, id="web-config"),
        pytest.param(SPEC.decode(), load_specs, id="spec"),
        pytest.param(SLOTH.decode(), lambda path: import_text(path.read_text(), "file"), id="sloth"),
        pytest.param(OPENSLO.decode(), lambda path: import_text(path.read_text(), "file"), id="openslo"),
        pytest.param(POD.decode(), lambda path: inject(path.read_text(), Injection()), id="manifest"),
        pytest.param(References().model_dump_json(), References.load, id="references"),
    ],
)
def test_files_are_read_or_refused_with_a_sentence(text, read, tmp_path):
    generator = random.Random(4)
    path = tmp_path / "file.yaml"
    path.write_bytes(BOMB)
    with pytest.raises(ConfigError):
        read(path)
    sentences = []
    for _ in range(400 * ROUNDS):
        path.write_text(rewritten(text, generator), encoding="utf-8", errors="replace", newline="")
        try:
            read(path)
        except ConfigError as error:
            sentences.append(str(error))
    assert len(sentences) > 50
    assert all(0 < len(sentence) < 100_000 for sentence in sentences)


def test_state_files_are_read_or_put_aside(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    generator, path = random.Random(5), tmp_path / "state"
    save_state(path, SavedState())
    good = path.read_bytes()
    for _ in range(300 * ROUNDS):
        path.write_bytes(mutated(good, generator))
        assert isinstance(load_state(path), SavedState)
