"""`locant agent` as a real process: fed through its socket, scraped over HTTP, obedient to signals."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from locant.observation import ForwardFacts, ModelAttached, ModelProfile, RowFacts
from locant.wire.sender import Sender
from locant_slo.catalogue import metrics
from support.real_servers import eventually, free_port

PROFILE = ModelProfile(
    "llama", "rope", "decoder", False, 0, 4096, None, 0, None, 0, None, True, 2, 4, 16, 1024, "abc", 100
)


class Process:
    """A running agent with its addresses."""

    def __init__(self, folder, *flags):
        self.socket = str(folder / "agent.sock")
        self.port = free_port()
        self.log = folder / "agent.log"
        command = [sys.executable, "-m", "locant.cli", "agent", f"--web.listen-address=127.0.0.1:{self.port}"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*command, f"--socket.path={self.socket}", *flags], stdout=log, stderr=log)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
            return response.read().decode()

    def ready(self):
        try:
            return self.get("/-/ready")
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return ""

    def value(self, metric, **labels):
        wanted = {f'{name}="{value}"' for name, value in labels.items()}
        for line in self.get("/metrics").splitlines():
            if line.startswith(metric.prometheus_name) and all(pair in line for pair in wanted):
                return float(line.rsplit(" ", 1)[1])
        return None


@pytest.fixture
def start(tmp_path):
    started = []

    def run(*flags):
        process = Process(tmp_path, *flags)
        started.append(process)
        eventually(process.ready)
        return process

    yield run
    for one in started:
        one.process.kill()
        one.process.wait(10)


def send(sender, passes):
    row = RowFacts(*[0] * len(RowFacts._fields))._replace(real=1, last_position=5, first_position=5, cache_tokens=5)
    sent = [ModelAttached(1, 0.0, "chat", "v1", PROFILE)] if not sender.connected else []
    sent += [ForwardFacts(1, 0.0, n, "decode", 0.001, 1, (row,), cache_id=1) for n in range(passes)]
    return sender.send(sent)


def passes_counted(process):
    return process.value(metrics.FORWARD_PASSES, phase="decode", outcome="ok", model="chat")


@pytest.mark.server
def test_what_probes_send_is_scraped(start):
    agent = start()
    sender = Sender(agent.socket)
    send(sender, 30)
    eventually(lambda: passes_counted(agent) == 30)
    sender.close()


@pytest.mark.server
def test_sigterm_ends_it_cleanly_and_removes_the_socket(start):
    agent = start()
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(20) == 0
    assert not Path(agent.socket).exists()


@pytest.mark.server
def test_a_killed_agent_comes_back_and_learns_what_was_lost(start, tmp_path):
    agent = start()
    sender = Sender(agent.socket, jitter=lambda low, high: 0.0)
    send(sender, 5)
    eventually(lambda: passes_counted(agent) == 5)
    agent.process.kill()
    agent.process.wait(10)
    lost = 7 - sum(sender.send([ForwardFacts(1, 0.0, n, "decode", 0.001, 1, ())]) for n in range(7))
    assert lost >= 6  # the kernel may take one before it tells
    again = start()
    send(sender, 3)
    eventually(lambda: (passes_counted(again) or 0) >= 1)
    sender.heartbeat()
    eventually(lambda: again.value(metrics.OBSERVATIONS_DROPPED, reason="disconnected") == sender.dropped["disconnected"])
    sender.close()


@pytest.mark.server
def test_a_broken_configuration_at_reload_leaves_the_old_one(start, tmp_path):
    config = tmp_path / "locant.yaml"
    config.write_text("latency_target_seconds: 0.2\n")
    agent = start(f"--config.file={config}")
    config.write_text("latency_target_seconds: soon\n")
    agent.process.send_signal(signal.SIGHUP)
    eventually(lambda: "the old one stays" in agent.log.read_text())
    assert agent.ready()
    config.write_text("latency_target_seconds: 0.3\n")
    agent.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration read again" in agent.log.read_text())


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--socket.path=/nowhere/at/all.sock"], "choose a folder that exists"),
        (["--socket.mode=rwx"], "socket_mode"),
        (["--web.listen-address=127.0.0.1"], "web_listen_address"),
        (["--config.file=/nowhere.yaml"], "cannot be read"),
        (["--web.config.file=/nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_status_2(flags, says, tmp_path):
    defaults = [f"--socket.path={tmp_path}/a.sock", f"--web.listen-address=127.0.0.1:{free_port()}"]
    run = subprocess.run(
        [sys.executable, "-m", "locant.cli", "agent", *defaults, *flags], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 2
    assert says in run.stderr
    assert "Traceback" not in run.stderr
