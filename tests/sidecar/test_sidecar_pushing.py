"""Snapshots pushed to what may be slow or gone: counted, never in anybody's way, and the last numbers go out too."""

from __future__ import annotations

import threading

import pytest

import locant
from locant.daemon import Daemon
from locant.observation import StreamFacts
from locant.pushing import Push
from locant.sidecar.config import AgentConfig
from locant_slo.catalogue import metrics
from locant_slo.errors import ConfigError, LocantError
from support.real_servers import eventually
from support.sidecar_traffic import values


def test_it_exports_at_its_interval_and_once_more_at_the_end():
    seen = []
    push = Push("mlflow", lambda: "snapshot", lambda: seen.append, 0.01).start()
    eventually(lambda: len(seen) >= 2)
    assert push.close()
    assert seen[-1] == "snapshot"
    assert (push.outcomes.ok, push.outcomes.error) == (len(seen), 0)
    assert push.close()


def test_what_is_shorter_than_an_interval_is_exported_at_its_end():
    seen = []
    push = Push("mlflow", lambda: "snapshot", lambda: seen.append, 3600.0).start()
    assert seen == []
    assert push.close()
    assert seen == ["snapshot"]


def test_a_failing_exporter_is_counted_logged_once_and_tried_again(caplog):
    fail = [True]

    def export(snapshot):
        if fail[0]:
            raise OSError("the receiver is gone")

    push = Push("mlflow", lambda: "snapshot", lambda: export, 1.0)
    for _ in range(3):
        push.once()
    assert len(caplog.records) == 1
    fail[0] = False
    push.once()
    assert (push.outcomes.ok, push.outcomes.error) == (1, 3)


def test_what_cannot_be_opened_is_tried_again_with_every_export():
    tries, seen = [], []

    def begin():
        tries.append(1)
        if len(tries) < 3:
            raise OSError("not there yet")
        return seen.append

    push = Push("mlflow", lambda: "snapshot", begin, 0.01).start()
    eventually(lambda: seen)
    push.close()
    assert (len(tries), push.outcomes.error) == (3, 1)  # the first try is the thread's own


def test_an_exporter_that_hangs_is_left_behind_at_the_end():
    held, hanging = threading.Event(), threading.Event()

    def export(snapshot):
        hanging.set()
        held.wait(60)

    push = Push("mlflow", lambda: "snapshot", lambda: export, 0.01).start()
    assert hanging.wait(10)
    assert not push.close(deadline_seconds=0.05)
    held.set()
    assert push.close()


def test_one_that_never_began_is_closed_without_an_export():
    seen = []
    assert Push("mlflow", lambda: "snapshot", lambda: seen.append, 1.0).close()
    assert seen == []


def test_an_agent_that_cannot_open_its_socket_says_so_with_a_tracker_too(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="NOT PROVEN HERE: mlflow is not installed (extra locant[mlflow])")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    socket = tmp_path / "nowhere" / "agent.sock"
    config = AgentConfig(mlflow_run_id="abc", socket_path=socket, web_listen_address="127.0.0.1:0")
    with pytest.raises(LocantError, match="nowhere"):
        Daemon(config, lambda: config).run()


def test_an_interval_that_is_none_is_refused_in_words():
    with pytest.raises(ConfigError, match="wandb: interval 0 is not above 0"):
        Push("wandb", lambda: "snapshot", lambda: print, 0)


@pytest.fixture
def agent():
    torch = pytest.importorskip("torch")
    agent = locant.EmbeddedAgent()
    locant.watch(torch.nn.TransformerEncoderLayer(8, 2), name="tiny", version="r1", agent=agent)
    yield agent
    agent.close()


def test_an_embedded_agent_pushes_by_itself_and_says_so(agent):
    seen = []
    with pytest.raises(ConfigError, match="exporter 'tritno' is not known; choose one of"):
        agent.push("tritno", seen.append)
    agent.push("triton", seen.append, interval_seconds=0.01)
    with pytest.raises(ConfigError, match="exporter 'triton' is pushed already"):
        agent.push("triton", seen.append)
    eventually(lambda: values(agent.snapshot(), metrics.EXPORTS)["triton", "ok"] >= 2)
    before = len(seen)
    agent.close()
    assert len(seen) > before


def test_an_exporter_that_hangs_holds_up_no_observation(agent):
    held, hanging = threading.Event(), threading.Event()

    def export(snapshot):
        hanging.set()
        held.wait(60)

    agent.push("mlflow", export, interval_seconds=0.01)
    assert hanging.wait(10)
    agent.host.channel.offer(StreamFacts(1, 0.0, 3, 0, ""))
    eventually(lambda: agent.host.channel.depth == 0)
    held.set()
