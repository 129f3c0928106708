"""How a model's process ends, and what it lacks: what it saw still arrives or is counted, and nothing is handed on."""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
from dataclasses import replace

import pytest

from locant.remote import RemoteAgent
from locant.wire.receiver import Receiver
from locant.wire.sender import Sender
from support.agent_process import ATTACHED, decode_pass
from support.real_servers import eventually

ENDS = """
import sys
from locant.remote import RemoteAgent
from support.agent_process import ATTACHED, decode_pass
remote = RemoteAgent(sys.argv[1])
for one in (ATTACHED, *(decode_pass(n) for n in range(100))):
    remote.host.channel.offer(one)
if sys.argv[2] == "raise":
    raise SystemExit(3)
"""


@pytest.fixture
def receiver(tmp_path):
    receiver = Receiver(str(tmp_path / "agent.sock"), clock=lambda: 0.0)
    receiver.open()
    yield receiver
    receiver.close()


@pytest.mark.parametrize("ending", ["return", "raise"])
def test_what_a_short_lived_process_saw_is_sent_as_it_exits(receiver, tmp_path, ending):
    command = [sys.executable, "-c", ENDS, str(tmp_path / "agent.sock"), ending]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])}
    subprocess.run(command, env=environment, timeout=60, check=False)
    got = []
    eventually(lambda: receiver.poll(0.05, got.extend) == 0 and len(got) == 101)
    assert receiver.lost.total() == receiver.gaps == 0


def report(path: str) -> None:
    """What a spawned worker does: a connection of its own, and its observations sent as it ends."""
    remote = RemoteAgent(path)
    for one in (ATTACHED, decode_pass(1)):
        remote.host.channel.offer(one)
    remote.close()


def test_a_spawned_worker_reports_for_itself_beside_its_parent(receiver, tmp_path):
    path = str(tmp_path / "agent.sock")
    sender = Sender(path)
    sender.send([ATTACHED, decode_pass(1)])
    worker = multiprocessing.get_context("spawn").Process(target=report, args=(path,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    sender.send([decode_pass(2)])
    got = []
    eventually(lambda: receiver.poll(0.05, got.extend) == 0 and len(got) == 5)
    assert len({one.model_id for one in got}) == 2
    assert receiver.lost.total() == receiver.gaps == 0
    sender.close()


def test_a_program_that_is_executed_does_not_inherit_the_connection(receiver, tmp_path):
    sender = Sender(str(tmp_path / "agent.sock"))
    sender.send([ATTACHED])
    held = sender._socket.fileno()
    look = f"import os; print(os.path.exists('/proc/self/fd/{held}'))"
    run = subprocess.run([sys.executable, "-c", look], close_fds=False, capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "False"
    sender.close()


def test_without_a_free_descriptor_everything_is_dropped_and_counted_and_nothing_raises(tmp_path, receiver):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sender = Sender(str(tmp_path / "agent.sock"), jitter=lambda low, high: 0.0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        taken = sender.send([ATTACHED, decode_pass(1)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert taken == 0
    assert sender.dropped == {"disconnected": 2}
    assert sender.send([decode_pass(2)]) == 1
    sender.close()


def test_one_process_reports_for_many_models(receiver, tmp_path):
    remote = RemoteAgent(str(tmp_path / "agent.sock"))
    for number in range(1, 13):
        remote.host.channel.offer(replace(ATTACHED, model_id=number, model=f"m{number}"))
        remote.host.channel.offer(replace(decode_pass(number), model_id=number))
    remote.host.pump()
    got = []
    eventually(lambda: receiver.poll(0.05, got.extend) == 0 and len(got) == 24)
    assert len({one.model_id for one in got}) == 12
    remote.close()
