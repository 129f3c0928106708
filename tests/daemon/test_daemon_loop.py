"""The daemon's own loop: what nobody foresaw costs a tick, and readiness says when it goes on costing."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from locant import daemon as module
from locant.daemon import Daemon
from locant.sidecar.config import AgentConfig
from locant.wire.sender import Sender
from locant_slo.catalogue import metrics
from locant_slo.errors import LocantError
from support.agent_process import ATTACHED, decode_pass
from support.certificates import make_authority
from support.real_servers import eventually
from support.sidecar_traffic import value


@pytest.fixture
def daemon(tmp_path):
    config = AgentConfig(socket_path=tmp_path / "agent.sock", web_listen_address="127.0.0.1:0")
    one = Daemon(config, lambda: config)
    thread = threading.Thread(target=one.run, daemon=True)
    assert one.readiness() == "The agent is starting"
    thread.start()
    eventually(lambda: one.readiness() is True)
    yield one
    one.stop()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.server
def test_an_error_nobody_foresaw_costs_a_tick_and_one_line(daemon, monkeypatch, caplog):
    failures = []

    def broken(*_):
        failures.append(1)
        raise RuntimeError("unforeseen")

    with monkeypatch.context() as patched:
        patched.setattr(daemon._receiver, "poll", broken)
        eventually(lambda: len(failures) > 3)
    assert caplog.text.count("going on") == 1
    ticked = daemon._ticked
    eventually(lambda: daemon._ticked > ticked)
    assert daemon.readiness() is True


@pytest.mark.server
def test_a_loop_that_stands_still_is_not_ready_and_says_for_how_long(daemon, monkeypatch):
    now = time.monotonic()
    with monkeypatch.context() as patched:
        patched.setattr(module, "_STALLED_SECONDS", -1.0)
        assert "No observation was read for" in str(daemon.readiness())
    assert daemon._ticked >= now - 60


@pytest.mark.server
def test_a_stopped_agent_says_so(daemon):
    daemon.stop()
    assert daemon.readiness() == "The agent is stopping"


@pytest.mark.server
def test_what_gathered_before_a_reading_is_the_queue_and_is_gone_a_second_later(daemon):
    def depth():
        return value(daemon._agent.snapshot(), metrics.QUEUE_DEPTH)

    sender = Sender(str(daemon._config.socket_path))
    with daemon._agent._lock:  # nothing is judged while we send
        assert sender.send([ATTACHED, *(decode_pass(n) for n in range(200))]) == 201
    eventually(lambda: depth() > 100)
    eventually(lambda: depth() == 0)
    sender.close()


@pytest.mark.server
def test_what_it_announces_is_the_address_as_it_is_served(tmp_path, program):
    certificate, key = make_authority(program("openssl"), tmp_path).issue("agent")
    web = tmp_path / "web.yaml"
    web.write_text(f"tls_server_config: {{cert_file: {certificate}, key_file: {key}}}\n")
    config = AgentConfig(socket_path=tmp_path / "agent.sock", web_listen_address="127.0.0.1:0", web_config_file=web)
    one, said = Daemon(config, lambda: config), []

    def announce(address):
        said.append(address)
        one.stop()

    one.run(announce)
    assert said[0].startswith("https://127.0.0.1:")


@pytest.mark.parametrize("broken", [{"otlp_endpoint": "http://"}, {"socket_path": "/nowhere/at/all.sock"}])
def test_an_agent_that_cannot_start_leaves_neither_socket_nor_port(broken, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chosen = {"socket_path": tmp_path / "agent.sock", "web_listen_address": f"127.0.0.1:{port}", **broken}
    config = AgentConfig.model_validate(chosen)
    with pytest.raises(LocantError):
        Daemon(config, lambda: config).run()
    assert not (tmp_path / "agent.sock").exists()
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


@pytest.mark.server
def test_a_reload_changes_how_often_the_state_is_saved(tmp_path):
    path = tmp_path / "state"
    slow = AgentConfig(
        socket_path=tmp_path / "agent.sock",
        web_listen_address="127.0.0.1:0",
        state_path=path,
        state_interval_seconds=3600,
    )
    one = Daemon(slow, lambda: slow.model_copy(update={"state_interval_seconds": 0.01}))
    one.reload()
    thread = threading.Thread(target=one.run, daemon=True)
    thread.start()
    eventually(lambda: one._state.ok > 1)
    one.stop()
    thread.join(20)
