"""The demo itself, as a stranger runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "locant.cli", "demo", "--fast", "--plain"]


def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture
def home(tmp_path):
    (tmp_path / "tmp").mkdir()
    return tmp_path


def living(folder: Path) -> list[str]:
    """Command lines of living processes that name a folder."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in lines if str(folder) in line]


@pytest.mark.slow
@pytest.mark.server
def test_the_demo_finds_both_faults_fires_their_alerts_and_leaves_nothing(home, program):
    program("prometheus")
    program("prometheus-alertmanager")
    done = subprocess.run(COMMAND, cwd=home, env=environment(home), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "healthy traffic: nothing found" in done.stdout
    assert done.stdout.count("burn alert fired after") == 2
    assert done.stdout.rstrip().endswith("proven")
    assert done.stderr == ""
    assert living(home) == []
    assert list((home / "tmp").glob("locant-demo-*")) == []
    boards = list((home / "out" / "demo" / "dashboards").glob("*.json"))
    assert len(boards) == 3
    assert all(json.loads(board.read_text()) for board in boards)


@pytest.mark.slow
def test_without_servers_the_embedded_view_proves_the_findings(home):
    bare = {**environment(home), "PATH": str(home)}
    done = subprocess.run(COMMAND, cwd=home, env=bare, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "prometheus and alertmanager not found; install" in done.stdout
    assert "the agent's own view" in done.stdout
    assert done.stdout.count("found after") == 2


def hear_interrupts():
    """A shell lets what it starts in the background ignore Ctrl-C, and the suite may have been started so."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_demo_leaves_nothing_running(home, end, program):
    program("prometheus")
    output = home / "output"
    with output.open("w") as file:
        given = {"cwd": home, "env": environment(home), "stdout": file, "stderr": file}
        process = subprocess.Popen(COMMAND, preexec_fn=hear_interrupts, **given)
        deadline = time.monotonic() + 120
        while "Alertmanager at" not in output.read_text() and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2.0)
        process.send_signal(end)
        assert process.wait(90) == 130, output.read_text()
    assert "nothing is left running" in output.read_text()
    assert "Traceback" not in output.read_text()
    assert living(home) == []
    assert list((home / "tmp").glob("locant-demo-*")) == []
