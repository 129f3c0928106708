"""`locant agent` as a real process: fed through its socket, scraped over HTTP, obedient to signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from locant.wire.sender import Sender
from locant_slo.catalogue import metrics
from support.agent_process import ATTACHED, decode_pass, started
from support.real_servers import eventually, free_port


@pytest.fixture
def start(tmp_path):
    running = []

    def run(*flags):
        running.append(started(tmp_path, *flags))
        return running[-1]

    yield run
    for agent in running:
        agent.kill()


def send(sender, passes):
    introduction = [ATTACHED] if not sender.connected else []
    return sender.send([*introduction, *(decode_pass(n) for n in range(passes))])


@pytest.mark.server
def test_what_probes_send_is_scraped(start):
    agent = start()
    sender = Sender(agent.socket)
    send(sender, 30)
    eventually(lambda: agent.passes() == 30)
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
    eventually(lambda: agent.passes() == 5)
    agent.kill()
    lost = 7 - sum(sender.send([decode_pass(n)]) for n in range(7))
    assert lost >= 6  # the kernel may take one before it tells
    again = start()
    send(sender, 3)
    eventually(lambda: again.passes() >= 1)
    sender.heartbeat()
    eventually(
        lambda: again.value(metrics.OBSERVATIONS_DROPPED, reason="disconnected") == sender.dropped["disconnected"]
    )
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
