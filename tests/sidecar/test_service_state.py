"""State across restarts: statistics go on, counters begin anew, and no crash costs the file."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from locant.sidecar.config import AgentConfig
from locant.sidecar.references import Lengths, Reference, References, Sum
from locant.sidecar.saved import SavedState
from locant.sidecar.service import Agent
from locant.sidecar.state_file import StateWriter, load_state, save_state
from locant_slo.catalogue import metrics
from locant_slo.errors import MachineError
from support.sidecar_traffic import (
    MODEL,
    OWN,
    Clock,
    ScriptedJudge,
    StubVerdict,
    attached,
    attention,
    canary,
    each,
    finding,
    forward,
    row,
    value,
    values,
)

PINNED = References(
    models={
        MODEL: Reference(
            model_version="r0",
            canary={f"case{n}": True for n in range(40)},
            lengths=Lengths(counts=(0,) * 10 + (5000,) + (0,) * 18, sum_tokens=1e6),
            loss={"early": Sum(total=1.0, count=10)},
        )
    }
)


def agent_of(clock=None, judge=None):
    config = AgentConfig(drift_minimum_sequences=10)
    return Agent(config, judge or ScriptedJudge(), references=PINNED, clock=clock or Clock())


def traffic():
    return each(
        [attached()],
        [forward(row(50 + n % 7)) for n in range(60)],
        [attention(layer, rows=50) for layer in (0, 1)],
        [canary(f"case{n}", n % 2 == 0, loss_nats=(("early", 2.0, 3),)) for n in range(20)],
        [canary("case20", True, last_of_run=True)],
    )


def test_statistics_go_on_where_they_were_and_counters_begin_anew(tmp_path):
    first = agent_of()
    first.ingest(traffic())
    before = first.snapshot()
    save_state(tmp_path / "state", first.saved())
    second = agent_of()
    second.restore(load_state(tmp_path / "state"))
    second.ingest([attached()])
    after = second.snapshot()
    for gauge in (metrics.REGRESSION_LOG_EVIDENCE, metrics.CANARY_LAST_RUN, metrics.LENGTH_DRIFT):
        assert values(after, gauge) == values(before, gauge) != {}
    assert value(after, metrics.OBSERVATIONS, *OWN) == 1
    second.pin_reference(tmp_path / "pin")
    first.pin_reference(tmp_path / "pin1")
    assert References.load(tmp_path / "pin") == References.load(tmp_path / "pin1")


def test_findings_survive_and_are_not_counted_twice():
    judge = ScriptedJudge(lambda seen: StubVerdict(findings=(finding(evidence={"rows": (1, 2)}),)))
    first = agent_of(judge=judge)
    first.ingest([attached(), forward(row(3))])
    second = agent_of()
    second.restore(first.saved())
    assert second.findings() == first.findings()
    second.ingest([attached()])
    assert sum(values(second.snapshot(), metrics.FINDINGS).values()) == 0


def test_a_release_that_left_is_kept_for_its_return_for_a_week():
    clock = Clock()
    first = agent_of(clock)
    first.ingest(traffic())
    saved = first.saved()
    clock.now += 86_400
    second = agent_of(clock)
    second.restore(saved)
    second.ingest([attached(version="r2")])
    assert {one.version for one in second.saved().releases} == {"r1", "r2"}
    clock.now += 7 * 86_400
    assert {one.version for one in second.saved().releases} == {"r2"}


def test_what_is_saved_is_read_back_whole(tmp_path):
    agent = agent_of()
    agent.ingest(traffic())
    state = agent.saved()
    save_state(tmp_path / "state", state)
    assert load_state(tmp_path / "state") == state


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no state"),
        (b"precious notes\n", "is no state"),
        (b"locant-state/v2 00000000\n{}", "is no state"),
        (b"locant-state/v1 00000000\n{}", "is damaged"),
        (b"locant-state/v1 f3dd1ea8\n{", "is damaged"),
        (os.urandom(4096), "is no state"),
    ],
)
def test_a_broken_or_foreign_file_is_moved_aside_with_a_sentence(tmp_path, caplog, content, says):
    path = tmp_path / "state"
    path.write_bytes(content)
    assert load_state(path) == SavedState()
    assert says in caplog.text
    assert "begin anew" in caplog.text
    assert (tmp_path / "state.refused").read_bytes() == content
    assert not path.exists()


def test_every_flipped_byte_is_noticed(tmp_path):
    path, agent, generator = tmp_path / "state", agent_of(), random.Random(3)
    agent.ingest(traffic())
    save_state(path, agent.saved())
    whole = path.read_bytes()
    for _ in range(60):
        at = generator.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << generator.randrange(8))]) + whole[at + 1 :])
        assert load_state(path) == SavedState()
    path.write_bytes(whole[: len(whole) // 2])
    assert load_state(path) == SavedState()


WRITE_FOREVER = """
import sys
from dataclasses import replace
from pathlib import Path
from locant.sidecar.saved import SavedState
from locant.sidecar.state_file import load_state, save_state
from locant_slo.findings import FailureMode, Finding, Severity
one = Finding(FailureMode.BATCH_MIXUP, Severity.PAGE, "c", "x" * 200_000)
path = Path(sys.argv[1])
count = (load_state(path).findings or (one,))[0].count
print("ready", flush=True)
while True:
    count += 1
    save_state(path, SavedState(findings=(replace(one, count=count),)))
    print(count, flush=True)
"""


def test_killed_in_the_middle_of_writing_again_and_again_the_file_holds_the_last_or_the_one_before(tmp_path):
    path, generator, kept = tmp_path / "state", random.Random(5), 0
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(generator.randrange(2, 30)):
            line = process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        written = [int(number) for number in (line + process.stdout.read()).split() if number.isdecimal()]
        process.wait()
        process.stdout.close()
        found = load_state(path).findings[0].count
        assert found >= (written[-1] if written else kept)
        assert found <= (written[-1] + 1 if written else found)
        kept = found
    assert {one.name for one in tmp_path.iterdir()} <= {"state", ".state.new"}


def test_a_full_disk_is_a_sentence_and_leaves_the_old_file(tmp_path):
    path, agent = tmp_path / "state", agent_of()
    save_state(path, SavedState())
    agent.ingest(traffic())
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        try:
            save_state(path, agent.saved())
        except MachineError as error:
            os._exit(0 if "cannot be written" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert load_state(path) == SavedState()
    assert {one.name for one in tmp_path.iterdir()} == {"state"}


def test_the_writer_counts_what_fails_and_complains_once(tmp_path, caplog):
    writer = StateWriter(tmp_path / "nowhere" / "state")
    for _ in range(3):
        writer.finish(SavedState(), 10.0)
    assert (writer.ok, writer.errors) == (0, 3)
    assert caplog.text.count("cannot be written") == 1
    (tmp_path / "nowhere").mkdir()
    writer.finish(SavedState(), 10.0)
    assert writer.ok == 1


def test_a_clock_set_back_across_a_restart_begins_the_window_again(tmp_path):
    clock = Clock()
    first = agent_of(clock)
    first.ingest(traffic())
    clock.now -= 10 * 86_400
    second = agent_of(clock)
    second.restore(first.saved())
    second.ingest([attached(), replace(forward(row(5)), time=clock.now)])
    assert second.saved().releases[0].drift.slot_ends < clock.now + 86_400
