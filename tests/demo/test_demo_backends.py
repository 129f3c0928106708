"""Prometheus and Alertmanager come up on free ports, carry an alert, and leave nothing behind."""

from __future__ import annotations

import http.server
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

from locant.demo import backends as module
from locant.demo.backends import Backends, Programs, find_programs
from locant.demo.processes import Child, fetch, start
from locant_slo.errors import MachineError

ROUTING = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
RULES = """groups:
- name: test
  interval: 1s
  rules:
  - {alert: Sick, expr: sick > 0, labels: {severity: page}, annotations: {summary: very sick}}
"""


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"sick 1\n")

    def log_message(self, *arguments):
        return None


@pytest.fixture
def target():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.server
def test_a_scraped_number_becomes_a_firing_alert_and_closing_ends_both(tmp_path, target, program):
    program("prometheus")
    programs = find_programs()
    assert isinstance(programs, Programs)
    with Backends(programs, tmp_path, targets=[target], rules={"r.yaml": RULES}, alertmanager=ROUTING) as servers:
        deadline = time.monotonic() + 30
        while not servers.alerts() and time.monotonic() < deadline:
            time.sleep(0.2)
        (alert,) = servers.alerts()
        assert (alert.name, alert.summary, alert.muted) == ("Sick", "very sick", False)
        assert alert.labels["severity"] == "page"
        assert servers.query("sick")[0][1] == 1.0
    for url in (servers.prometheus_url, servers.alertmanager_url):
        with pytest.raises(OSError, match="refused"):
            fetch(f"{url}/-/ready")
    servers.close()


@pytest.mark.server
def test_rules_that_prometheus_refuses_are_an_error_with_its_words_and_leave_nothing(tmp_path, program):
    program("prometheus")
    programs = find_programs()
    assert isinstance(programs, Programs)
    with pytest.raises(MachineError, match="prometheus does not start"):
        Backends(programs, tmp_path, targets=[], rules={"r.yaml": "groups: 3"}, alertmanager=ROUTING)
    assert not running_in(tmp_path)


def running_in(folder: Path) -> list[str]:
    """Command lines of living processes that name a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [line] if str(folder) in line and str(os.getpid()) != entry.parent.name else []
    return found


def test_missing_programs_are_named_with_the_cure(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    words = find_programs()
    assert isinstance(words, str)
    assert "prometheus and alertmanager not found; install" in words


def test_a_child_that_ignores_the_polite_end_is_killed_with_its_children(tmp_path):
    script = "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    script += f"subprocess.Popen(['sleep', '1000', ]); open({str(tmp_path / 'up')!r}, 'w').close(); time.sleep(1000)"
    child = Child("stubborn", [sys.executable, "-c", script], tmp_path / "log")
    while not (tmp_path / "up").exists():
        time.sleep(0.05)
    child.close(grace_seconds=0.3)
    assert not child.running


def test_a_program_that_ends_at_once_is_an_error_with_its_last_words(tmp_path):
    shell = shutil.which("sh") or "/bin/sh"
    with pytest.raises(MachineError, match="broken does not start: no such option"):
        start("broken", lambda port: [shell, "-c", "echo no such option; exit 2"], tmp_path / "log", "/")
