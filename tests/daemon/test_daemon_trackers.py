"""An agent process that logs to experiment trackers: a real MLflow store, real W&B files."""

from __future__ import annotations

import signal
from contextlib import closing

import pytest

from locant.observation import StreamFacts
from locant.wire.sender import Sender
from locant_slo.catalogue import metrics
from support.agent_process import ATTACHED, started
from support.real_servers import eventually
from support.wandb_files import wandb_history

KEY = "locant/chat/v1/streaming_chunks"
pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture
def run_of(tmp_path, monkeypatch):
    """Runs an agent that logs to `exporter` every second until it has seen ten streams (two bad), and ends it."""
    monkeypatch.chdir(tmp_path)

    def run(exporter, run_id):
        (tmp_path / "locant.yaml").write_text(f"{exporter}_run_id: {run_id}\ntracker_interval_seconds: 1\n")
        agent = started(tmp_path, f"--config.file={tmp_path}/locant.yaml")
        try:
            eventually(lambda: agent.value(metrics.EXPORTS, exporter=exporter, outcome="ok"), 120)
            with closing(Sender(agent.socket)) as sender:
                sender.send([ATTACHED, *(StreamFacts(1, 0.0, 3, int(n < 2), "x" * (n < 2)) for n in range(10))])
                eventually(lambda: agent.value(metrics.SLI_EVENTS, indicator="streaming_chunks") == 32)
            agent.send_signal(signal.SIGTERM)
            assert agent.process.wait(60) == 0
        finally:
            agent.kill()
        return agent.log.read_text()

    return run


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own, of SQLAlchemy
def test_what_the_agent_saw_is_in_mlflow_when_it_ends(run_of, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="NOT PROVEN HERE: mlflow is not installed (extra locant[mlflow])")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'ml.db'}")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'ml.db'}")
    experiment = client.create_experiment("locant", artifact_location=str(tmp_path / "artifacts"))
    run_id = client.create_run(experiment).info.run_id
    log = run_of("mlflow", run_id)
    assert [point.value for point in client.get_metric_history(run_id, f"{KEY}/good_ratio")] == [0.9375], log


def test_what_the_agent_saw_is_in_the_files_of_wandb_when_it_ends(run_of, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="NOT PROVEN HERE: wandb is not installed (extra locant[wandb])")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_PROJECT", "locant")
    log = run_of("wandb", "chat-v1")
    (file,) = tmp_path.rglob("*.wandb")
    ratios = eventually(lambda: [row[f"{KEY}/good_ratio"] for row in wandb_history(file) if f"{KEY}/good_ratio" in row])
    assert ratios == [0.9375], log


def test_a_tracker_without_a_store_is_refused_before_anything_is_opened(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="NOT PROVEN HERE: mlflow is not installed (extra locant[mlflow])")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "locant.yaml").write_text("mlflow_run_id: abc\n")
    with pytest.raises(AssertionError, match="set MLFLOW_TRACKING_URI"):
        started(tmp_path, f"--config.file={tmp_path}/locant.yaml")
