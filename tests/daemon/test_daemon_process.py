"""`locant agent` as a real process: fed through its socket, scraped over HTTP, obedient to signals."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from locant.observation import CanaryFacts
from locant.wire.sender import Sender
from locant_slo.catalogue import metrics
from support.agent_process import ATTACHED, decode_pass, started
from support.otlp_receiver import otlp_receiver
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


@pytest.mark.server
def test_release_statistics_survive_kill_9_and_counters_begin_anew(start, tmp_path):
    flags = {"LOCANT_STATE_PATH": str(tmp_path / "state"), "LOCANT_STATE_INTERVAL_SECONDS": "0.2"}
    config = tmp_path / "locant.yaml"
    config.write_text("".join(f"{name.removeprefix('LOCANT_').lower()}: {value}\n" for name, value in flags.items()))
    agent = start(f"--config.file={config}")
    sender = Sender(agent.socket, jitter=lambda low, high: 0.0)
    sender.send([ATTACHED, CanaryFacts(1, 77.0, "case", "copy", "up_to_1", False, True, last_of_run=True)])
    eventually(lambda: agent.value(metrics.CANARY_LAST_RUN, model="chat") == 77)
    saved = agent.value(metrics.EXPORTS, exporter="state", outcome="ok")
    eventually(lambda: agent.value(metrics.EXPORTS, exporter="state", outcome="ok") >= saved + 2)
    agent.kill()
    again = start(f"--config.file={config}")
    eventually(lambda: sender.send([decode_pass(1)]) == 1)
    eventually(again.passes)
    assert again.value(metrics.CANARY_LAST_RUN, model="chat") == 77
    assert again.value(metrics.CANARY_CASES, model="chat") is None
    sender.close()


@pytest.mark.server
def test_a_broken_state_file_is_moved_aside_and_the_agent_starts(start, tmp_path):
    (tmp_path / "state").write_text("not ours")
    config = tmp_path / "locant.yaml"
    config.write_text(f"state_path: {tmp_path}/state\n")
    agent = start(f"--config.file={config}")
    assert "is no state" in agent.log.read_text()
    assert (tmp_path / "state.refused").read_text() == "not ours"


@pytest.mark.server
def test_scrapes_pushes_and_the_agents_own_cost_are_counted(start):
    agent = start(f"--otlp.endpoint=http://127.0.0.1:{free_port()}/v1/metrics")
    eventually(lambda: (agent.value(metrics.EXPORTS, exporter="prometheus", outcome="ok") or 0) > 0)
    assert agent.value(metrics.EXPORTS, exporter="otlp", outcome="ok") == 0
    assert agent.value(metrics.AGENT_CPU) > 0
    assert agent.value(metrics.AGENT_MEMORY) > 2**20


@pytest.mark.server
def test_a_reload_over_http_answers_with_what_is_wrong(start, tmp_path):
    config = tmp_path / "locant.yaml"
    config.write_text("series_limit: 500\n")
    agent = start(f"--config.file={config}")
    url = f"http://127.0.0.1:{agent.port}/-/reload"
    assert urllib.request.urlopen(urllib.request.Request(url, method="POST")).status == 200
    config.write_text("series_limit: lots\n")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, method="POST"))
    assert "series_limit" in refused.value.read().decode()
    refused.value.close()
    config.write_text("socket_mode: '0600'\n")
    urllib.request.urlopen(urllib.request.Request(url, method="POST")).close()
    assert "socket_mode: changed, but takes effect at the next start only" in agent.log.read_text()


def slow_tokens(agent):
    """Tokens that the configuration in force calls too slow."""
    return agent.value(metrics.SLI_BAD_EVENTS, indicator="latency_per_token", model="chat")


@pytest.mark.server
def test_what_is_judged_after_a_broken_reload_is_judged_by_the_old_configuration(start, tmp_path):
    config = tmp_path / "locant.yaml"
    config.write_text("latency_target_seconds: 9\n")
    agent = start(f"--config.file={config}")
    sender = Sender(agent.socket)

    def judged(passes):
        before = agent.passes()
        send(sender, passes)
        eventually(lambda: agent.passes() == before + passes)
        return slow_tokens(agent)

    config.write_text("latency_target_seconds: 0.0000001\nnonsense: 1\n")
    agent.process.send_signal(signal.SIGHUP)
    eventually(lambda: "the old one stays" in agent.log.read_text())
    assert judged(10) == 0
    config.write_text("latency_target_seconds: 0.0000001\n")
    agent.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration read again" in agent.log.read_text())
    assert judged(10) == 10
    sender.close()


@pytest.mark.server
def test_the_sockets_mode_is_the_configured_one(start, tmp_path):
    config = tmp_path / "locant.yaml"
    config.write_text("socket_mode: '0600'\n")
    agent = start(f"--config.file={config}")
    assert stat.S_IMODE(Path(agent.socket).stat().st_mode) == 0o600


@pytest.mark.server
def test_before_it_ends_it_reads_what_was_sent_and_pushes_it(start):
    with otlp_receiver() as collector:
        agent = start(f"--otlp.endpoint={collector.url}/v1/metrics")
        sender = Sender(agent.socket)
        send(sender, 50)
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(20) == 0
        points = collector.metric(metrics.FORWARD_PASSES.name).sum.data_points
        assert sum(point.as_int or point.as_double for point in points) == 50
        sender.close()


@pytest.mark.server
def test_a_collector_that_never_answers_does_not_keep_it_from_ending(start):
    with otlp_receiver() as collector:
        collector.hold.clear()
        agent = start(f"--otlp.endpoint={collector.url}/v1/metrics")
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(60) == 0
