"""MLflow and Weights & Biases in a model's process: what docs/integrations.md shows, on the real ones."""

from __future__ import annotations

import pytest

from support.documents import blocks
from support.real_servers import eventually
from support.wandb_files import wandb_history

torch = pytest.importorskip("torch")
IN_MLFLOW, IN_WANDB = blocks("integrations.md", "MLflow, Weights & Biases")
pytestmark = pytest.mark.slow


def play(block):
    """Run the block with a model that answers one padded batch right and one wrong."""
    from probe.tinies import causal, left_padded

    model = causal("gpt2")
    ids, mask = left_padded(6, 2)

    def evaluate(model):
        with torch.no_grad():
            model(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0))
            model(input_ids=ids, attention_mask=mask)

    exec(compile(block, "docs/integrations.md", "exec"), {"model": model, "evaluate": evaluate})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own, of SQLAlchemy
def test_a_run_of_mlflow_says_what_share_of_positions_was_right(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="NOT PROVEN HERE: mlflow is not installed (extra locant[mlflow])")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'ml.db'}")
    play(IN_MLFLOW)
    (run,) = mlflow.search_runs(output_format="list")
    (ratio,) = [value for key, value in run.data.metrics.items() if key.endswith("/position_integrity/good_ratio")]
    assert 0 < ratio < 1


def test_a_run_of_wandb_does_too(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="NOT PROVEN HERE: wandb is not installed (extra locant[wandb])")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.teardown()  # it reads its environment once, and a test before may have had it do so
    play(IN_WANDB)
    (file,) = tmp_path.rglob("*.wandb")
    (row,) = eventually(lambda: wandb_history(file))  # its writer may end a moment after the run
    (ratio,) = [value for key, value in row.items() if key.endswith("/position_integrity/good_ratio")]
    assert 0 < ratio < 1
