"""A reference out of a running sidecar: pinned from its state, read at reload and at the next start, compared with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace

import pytest

from locant.observation import CanaryFacts
from locant.sidecar.references import References
from locant.wire.sender import Sender
from locant_slo.catalogue import metrics
from support.agent_process import ATTACHED, started
from support.real_servers import eventually
from support.sidecar_traffic import forward, row

CONFIG = """
state_path: {folder}/state
state_interval_seconds: 0.2
reference_path: {folder}/reference.json
drift_window_seconds: 1.2
"""
CASES = 12


@pytest.fixture
def start(tmp_path):
    config = tmp_path / "locant.yaml"
    config.write_text(CONFIG.format(folder=tmp_path))
    running = []

    def run():
        running.append(started(tmp_path, f"--config.file={config}"))
        return running[-1]

    yield run
    for agent in running:
        agent.kill()


@pytest.fixture
def pin(tmp_path):
    """As a container without a shell runs it: no PATH, no HOME, nothing but the program."""
    bare = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}

    def run(*arguments):
        command = [sys.executable, "-m", "locant.cli", "pin", f"--config.file={tmp_path}/locant.yaml", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=bare, cwd="/")

    return run


class Release:
    """One release's probe: prompts of one length and canary answers."""

    def __init__(self, agent, number, *, tokens, right=True):
        self.version, self._agent, self._id = f"r{number}", agent, number
        self._tokens, self._right = tokens, right
        self._sender = Sender(agent.socket, jitter=lambda low, high: 0.0)

    def serve(self, sequences=1000):
        """These sequences, and a run of the canary."""
        introduction = replace(ATTACHED, model_id=self._id, model_version=self.version)
        passes = [replace(forward(*[row(self._tokens)] * 100), model_id=self._id) for _ in range(sequences // 100)]
        cases = [
            CanaryFacts(self._id, 77.0, f"case{n}", "copy", "up_to_1", False, self._right, last_of_run=n == CASES - 1)
            for n in range(CASES)
        ]
        self._sender.send([introduction])
        for one in passes:
            self._sender.send([one])
        self._sender.send(cases)
        return True

    def counted(self):
        return self._agent.value(metrics.SEQUENCE_LENGTH, model_version=self.version, le="+Inf") or 0

    def drift(self):
        return self._agent.value(metrics.LENGTH_DRIFT, model_version=self.version)

    def events(self, indicator):
        own = {"indicator": indicator, "model_version": self.version}
        return tuple(self._agent.value(m, **own) for m in (metrics.SLI_EVENTS, metrics.SLI_BAD_EVENTS))

    def close(self):
        self._sender.close()


def reloaded(agent):
    request = urllib.request.Request(f"http://127.0.0.1:{agent.port}/-/reload", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


@pytest.mark.server
def test_a_damaged_reference_is_refused_in_words_at_a_reload_and_at_the_start(start, tmp_path):
    path = tmp_path / "reference.json"
    agent = start()
    path.write_text("{")
    status, words = reloaded(agent)
    assert (status, f"The old configuration stays: {path}: is no reference" in words) == (500, True)
    agent.kill()
    command = [sys.executable, "-m", "locant.cli", "agent", f"--config.file={tmp_path}/locant.yaml"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "write one with `locant pin`" in run.stderr


@pytest.mark.server
def test_a_release_is_pinned_and_later_ones_are_compared_with_it(start, pin, tmp_path):
    agent = start()
    first = Release(agent, 1, tokens=200)
    first.serve(sequences=300)
    eventually(lambda: first.counted() == 300)
    eventually(lambda: "300 of 1000 sequences" in pin(str(tmp_path / "reference.json")).stderr)
    assert not (tmp_path / "reference.json").exists()

    first.serve(sequences=700)
    eventually(lambda: first.counted() == 1000)
    before = sorted(one.name for one in tmp_path.iterdir() if not one.name.startswith("."))
    eventually(lambda: pin("-").returncode == 0)  # the state is saved every 0.2 s
    assert sorted(one.name for one in tmp_path.iterdir() if not one.name.startswith(".")) == before
    assert pin(str(tmp_path / "reference.json")).returncode == 0
    assert sum(References.load(tmp_path / "reference.json").models["chat"].lengths.counts) == 1000
    assert agent.value(metrics.REFERENCE_LENGTH, model="chat") is None
    assert reloaded(agent) == (200, "Reloaded.\n")
    assert agent.value(metrics.REFERENCE_LENGTH, model="chat", le="+Inf") == 1000
    first.close()
    agent.kill()

    again = start()
    same, worse = Release(again, 2, tokens=200), Release(again, 3, tokens=500, right=False)
    eventually(lambda: all(one.serve() and one.events("length_drift")[0] for one in (same, worse)))
    assert same.drift() < 0.25 < worse.drift()
    assert same.events("length_drift")[1] == 0
    assert worse.events("length_drift")[1] >= 1
    assert same.events("positional_regression")[1] == 0
    assert worse.events("positional_regression")[1] >= CASES
    for release in (same, worse):
        release.close()


class Slow:
    """One release's passes, each so long and ten seconds after the last, as its clock says."""

    def __init__(self, agent, number, *, seconds):
        self._agent, self._seconds, self._id, self._passes = agent, seconds, number, 0
        self._version = f"r{number}"
        self._sender = Sender(agent.socket, jitter=lambda low, high: 0.0)

    def serve(self, passes=300):
        self._sender.send([replace(ATTACHED, model_id=self._id, model_version=self._version, machine="1 x H100")])
        for _ in range(passes):
            self._passes += 1
            when = {"time": 10.0 * self._passes, "pass_number": self._passes}
            self._sender.send([replace(forward(row(100)), model_id=self._id, duration_seconds=self._seconds, **when)])
        return True

    def found(self):
        return self._agent.value(metrics.FINDINGS, check="passes_slower", model_version=self._version)

    def close(self):
        self._sender.close()


@pytest.mark.server
def test_a_release_that_is_slower_than_the_pinned_one_from_its_first_pass_is_found(start, pin, tmp_path):
    agent = start()
    first = Slow(agent, 1, seconds=0.01)
    eventually(lambda: first.serve() and pin(str(tmp_path / "reference.json"), "--part=costs").returncode == 0)
    first.close()
    agent.kill()
    again = start()
    same, slow = Slow(again, 2, seconds=0.011), Slow(again, 3, seconds=0.03)
    eventually(lambda: same.serve() and slow.serve() and slow.found())
    assert (slow.found(), same.found()) == (1, 0)
    message = json.loads(again.get("/api/v1/findings"))["findings"][0]["message"]
    assert "3.00 times as long as" in message
    assert "in the pinned release r1" in message
    for release in (same, slow):
        release.close()
