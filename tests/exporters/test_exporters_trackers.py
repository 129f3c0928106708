"""Windowed summaries, and what the real MLflow (SQLite) and the real W&B (offline) keep of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from locant_exporters import mlflow as mlflow_sink
from locant_exporters import wandb as wandb_sink
from locant_exporters.outcomes import Tally
from locant_exporters.summary import FINDING_COLUMNS, summarise
from locant_slo.catalogue import metrics
from locant_slo.errors import MachineError
from locant_slo.snapshot import Family, Sample, Snapshot
from support.real_servers import eventually
from support.snapshots import AWKWARD, rich_snapshot
from support.wandb_files import wandb_history

GOOD = "locant/gpt2/r1/padding_attention/good_ratio"
EVENTS = "locant/gpt2/r1/padding_attention/events"


def snapshot(events: float, bad: float, model: str = "gpt2") -> Snapshot:
    labels = ("padding_attention", model, "r1")
    families = (
        Family(metrics.SLI_EVENTS, (Sample(labels, events),)),
        Family(metrics.SLI_BAD_EVENTS, (Sample(labels, bad),)),
    )
    return Snapshot(1_764_000_000.0, 0.0, families, rich_snapshot().findings)


class TestTheSummary:
    def test_is_of_the_window_and_not_of_the_whole_life(self):
        assert summarise(snapshot(150, 20), snapshot(100, 10)).scalars == {GOOD: 0.8, EVENTS: 50.0}

    def test_without_a_previous_snapshot_it_starts_with_the_agent(self):
        assert summarise(snapshot(100, 10)).scalars == {GOOD: 0.9, EVENTS: 100.0}

    def test_a_restart_counts_what_came_after_it(self):
        assert summarise(snapshot(40, 10), snapshot(100, 20)).scalars == {GOOD: 0.75, EVENTS: 40.0}

    def test_no_events_are_no_ratio_and_not_a_perfect_one(self):
        assert summarise(snapshot(100, 10), snapshot(100, 10)).scalars == {}

    def test_any_model_name_gives_a_key_that_trackers_take(self):
        (key, _) = summarise(snapshot(1, 0, model=AWKWARD)).scalars
        assert key.isascii()
        assert summarise(snapshot(1, 0, model="../..")).scalars.keys() == {
            "locant/_/r1/padding_attention/good_ratio",
            "locant/_/r1/padding_attention/events",
        }

    def test_a_finding_is_a_row_with_its_evidence(self):
        (row,) = summarise(rich_snapshot()).findings
        cells = dict(zip(FINDING_COLUMNS, row, strict=True))
        assert (cells["failure_mode"], cells["name"], cells["count"]) == ("F3", "padding_leakage", 7)
        assert json.loads(str(cells["evidence"])) == {"padding_mass": 0.31, "layer": 4}


class Store:
    """Keeps what a client would send, or is gone."""

    def __init__(self):
        self.gone, self.metrics = False, []

    def log_metric(self, run_id, key, value, timestamp, step):
        if self.gone:
            raise ConnectionError("the store is gone")
        self.metrics.append((run_id, key, value, step))

    def log_dict(self, run_id, dictionary, artifact_file):
        pass


def test_a_run_logs_windows_and_one_that_could_not_be_logged_is_part_of_the_next():
    store = Store()
    run = mlflow_sink.MlflowRun(store, "r7")
    run(snapshot(100, 10))
    store.gone = True
    with pytest.raises(ConnectionError):
        run(snapshot(130, 10))
    store.gone = False
    run(snapshot(150, 20))
    mlflow_sink.MlflowRun(store, "r7")(replace(snapshot(10, 5), taken_at=1_764_000_060.0))  # an agent that began anew
    assert [entry for entry in store.metrics if entry[1] == GOOD] == [
        ("r7", GOOD, 0.9, 1_764_000_000),
        ("r7", GOOD, 0.8, 1_764_000_000),
        ("r7", GOOD, 0.5, 1_764_000_060),
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own, of SQLAlchemy
def test_mlflow_keeps_ratios_and_findings(tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="NOT PROVEN HERE: mlflow is not installed (extra locant[mlflow])")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'ml.db'}")
    experiment = client.create_experiment("locant", artifact_location=str(tmp_path / "artifacts"))
    run_id = client.create_run(experiment).info.run_id
    mlflow_sink.log_snapshot(client, run_id, snapshot(100, 10), step=1)
    mlflow_sink.log_snapshot(client, run_id, snapshot(150, 20), step=2, previous=snapshot(100, 10))
    history = [(point.step, point.value, point.timestamp) for point in client.get_metric_history(run_id, GOOD)]
    assert history == [(1, 0.9, 1_764_000_000_000), (2, 0.8, 1_764_000_000_000)]
    table = json.loads((Path(client.get_run(run_id).info.artifact_uri) / "locant/findings-2.json").read_text())
    assert table["columns"] == list(FINDING_COLUMNS)
    assert [tuple(row) for row in table["data"]] == list(summarise(rich_snapshot()).findings)


@pytest.mark.slow
def test_wandb_keeps_ratios_and_findings(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="NOT PROVEN HERE: wandb is not installed (extra locant[wandb])")
    settings = wandb.Settings(x_disable_stats=True, x_disable_meta=True, disable_git=True, console="off")
    monkeypatch.chdir(tmp_path)
    run = wandb.init(mode="offline", project="locant", dir=tmp_path, settings=settings)
    log = wandb_sink.WandbRun(run)
    log(snapshot(100, 10))
    log(snapshot(150, 20))
    run.finish()
    (log,) = tmp_path.rglob("*.wandb")
    eventually(lambda: len(wandb_history(log)) == 2)  # its writer may end a moment after finish()
    assert [row[GOOD] for row in wandb_history(log)] == [0.9, 0.8]
    tables = [json.loads(path.read_text()) for path in tmp_path.rglob("*.table.json")]
    assert tables
    for table in tables:
        assert table["columns"] == list(FINDING_COLUMNS)
        assert [tuple(row) for row in table["data"]] == list(summarise(rich_snapshot()).findings)


def test_without_wandb_the_cure_is_a_sentence(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MachineError, match="install locant\\[wandb\\]"):
        wandb_sink.log_snapshot(None, rich_snapshot())


def test_a_tally_adds_up_what_exports_took_and_a_clock_that_jumps_back_takes_nothing_off():
    tally = Tally()
    for ok, seconds in ((True, 1.5), (False, 0.5), (True, -3.0)):
        tally.note(ok=ok, seconds=seconds)
    assert (tally.outcomes.ok, tally.outcomes.error, tally.outcomes.seconds) == (2, 1, 2.0)
