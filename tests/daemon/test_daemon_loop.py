"""The daemon's own loop: what nobody foresaw costs a tick, and readiness says when it goes on costing."""

from __future__ import annotations

import threading
import time

import pytest

from locant import daemon as module
from locant.daemon import Daemon
from locant.sidecar.config import AgentConfig
from locant.wire.sender import Sender
from locant_slo.catalogue import metrics
from support.agent_process import ATTACHED, decode_pass
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
