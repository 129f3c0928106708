"""What the world does to a running agent: the model's side neither blocks nor raises, loss is counted, it recovers."""

from __future__ import annotations

import os
import random
import signal
import socket
from pathlib import Path

import pytest

from locant_slo.catalogue import metrics
from support.agent_process import Load, started
from support.real_servers import eventually

pytestmark = pytest.mark.server


@pytest.fixture
def start(tmp_path):
    running = []

    def run(*flags):
        running.append(started(tmp_path, *flags))
        return running[-1]

    yield run
    for agent in running:
        agent.kill()


def dial(path):
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(10)
    peer.connect(path)
    return peer


def settled(agent, load):
    """Everything that this agent was offered is counted, as a pass or as a loss."""
    eventually(lambda: load.beat() and agent.passes() + agent.dropped() == load.offered - 1)


def test_killed_and_restarted_under_load(start):
    agent = start()
    with Load(agent.socket) as load:
        load.goes_on()
        agent.kill()
        load.goes_on()
        again = start()
        load.goes_on()
        eventually(again.passes)
        load.rest()
        lost = load.sender.dropped["disconnected"]
        eventually(lambda: load.beat() and again.value(metrics.OBSERVATIONS_DROPPED, reason="disconnected") == lost)
        assert lost > 0


def test_stopped_for_a_while_and_continued(start):
    agent = start()
    with Load(agent.socket, batch=64) as load:
        load.goes_on()
        agent.send_signal(signal.SIGSTOP)
        eventually(lambda: load.sender.dropped.get("queue_full"))
        load.goes_on()
        agent.send_signal(signal.SIGCONT)
        load.rest()
        settled(agent, load)


def test_the_sockets_file_removed(start):
    agent = start()
    with Load(agent.socket) as load:
        load.goes_on()
        Path(agent.socket).unlink()
        eventually(Path(agent.socket).exists)
        load.rest()
        settled(agent, load)
        with Load(agent.socket) as newcomer:
            newcomer.goes_on()
            newcomer.rest()
            eventually(lambda: agent.passes() + agent.dropped() == load.offered + newcomer.offered - 2)
    assert "listening again" in agent.log.read_text()


def test_two_thousand_connections(start):
    agent = start()
    with Load(agent.socket) as load:
        load.goes_on()
        for _ in range(20):
            crowd = []
            for _ in range(100):
                peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                peer.setblocking(False)
                peer.connect_ex(agent.socket)
                crowd.append(peer)
            load.goes_on(5)
            assert agent.descriptors() < 150
            for peer in crowd:
                peer.close()
        load.rest()
        eventually(lambda: load.beat() and agent.passes() == load.taken - 1)


def test_megabytes_of_garbage(start):
    agent = start()
    generator = random.Random(11)
    garbage = [generator.randbytes(generator.randrange(1, 120_000)) for _ in range(40)]
    with Load(agent.socket) as load:
        load.goes_on()
        before = agent.value(metrics.AGENT_MEMORY)
        sent = 0
        while sent < 32 * 2**20:
            evil = dial(agent.socket)
            try:
                for data in garbage:
                    sent += evil.send(data)
            except OSError:
                pass  # hung up on
            finally:
                evil.close()
        load.rest()
        eventually(lambda: load.beat() and agent.passes() == load.taken - 1)
        assert agent.value(metrics.OBSERVATIONS_DROPPED, reason="decode_error") > 100
        assert agent.value(metrics.AGENT_MEMORY) - before < 32 * 2**20


def test_descriptors_handed_over_the_socket_are_not_kept(start):
    agent = start()
    before = agent.descriptors()
    evil = dial(agent.socket)
    with Path(os.devnull).open() as target:
        for _ in range(16):
            socket.send_fds(evil, [b"rubbish"], [target.fileno()] * 50)
    eventually(lambda: (agent.value(metrics.OBSERVATIONS_DROPPED, reason="decode_error") or 0) >= 16)
    assert agent.descriptors() <= before + 3
    evil.close()


def test_a_model_process_killed_leaves_its_last_observation_for_the_alert(start):
    agent = start()
    child = os.fork()
    if child == 0:
        load = Load(agent.socket).__enter__()
        load.goes_on(20)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    eventually(agent.passes)
    assert agent.value(metrics.LAST_OBSERVATION, model="chat") is not None
    with Load(agent.socket) as load:
        load.goes_on()


def test_without_a_folder_for_the_socket_the_agent_says_that_it_is_not_ready(start, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    agent = start(f"--socket.path={folder}/agent.sock")
    (folder / "agent.sock").unlink()
    folder.rmdir()
    eventually(lambda: not agent.ready())
    folder.mkdir()
    eventually(agent.ready)
