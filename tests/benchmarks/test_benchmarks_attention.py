"""The benchmarks about attention run as they are written in the docs, and their tables hold every row."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from locant.probe.attention.contract import STATISTICS

pytest.importorskip("transformers")
pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "benchmarks"


def quick(script: str, *flags: str) -> str:
    """What a script prints with `--quick`, on one thread."""
    command = [sys.executable, str(FOLDER / script), "--quick", *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_exported_statistic_has_a_measured_coverage(tmp_path: Path) -> None:
    file = tmp_path / "lines.json"
    told = quick("attention_coverage.py", f"--json={file}")
    assert {line["statistic"] for line in json.loads(file.read_text())} == set(STATISTICS)
    shares = dict(re.findall(r"^\| (\w+) \| ([\d.]+)% ", told, re.MULTILINE))
    assert set(shares) == set(STATISTICS)
    assert all(float(share) > 70 for share in shares.values())


def test_every_way_to_see_attention_has_a_row_and_a_missing_peer_says_so(tmp_path: Path) -> None:
    file = tmp_path / "lines.json"
    quick("attention_end_to_end.py", f"--json={file}")
    lines = {line["way"]: line for line in json.loads(file.read_text())}
    assert lines["bare"]["process"] == [1.0, 1.0, 1.0]
    for way in ("locant (sidecar)", "locant (embedded)", "output_attentions"):
        assert lines[way]["note"] == ""
        assert 0.2 < lines[way]["process"][1] < 5
    for way in ("TransformerLens", "nnsight"):
        assert lines[way]["note"].startswith("NOT MEASURED") != bool(lines[way]["process"])


def test_a_decode_is_measured_step_by_step_and_some_steps_are_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    quick("attention_decode.py", f"--json={file}")
    (found,) = json.loads(file.read_text())
    assert found["steps"] == 100
    assert 0 < found["profiled"] < 100


def test_the_memory_of_a_look_grows_neither_with_keys_nor_by_a_matrix_of_rows_and_keys() -> None:
    told = quick("attention_cost.py")
    used = dict(re.findall(r"^memory of one look, S=(\d+) .*?, (?:32) rows: ([\d.]+) MB", told, re.MULTILINE))
    rows = dict(re.findall(r"^memory of one look, S=2048 .*?, (\d+) rows: ([\d.]+) MB", told, re.MULTILINE))
    assert float(used["8192"]) <= 1.1 * float(used["2048"])
    assert float(rows["64"]) <= 2.1 * float(rows["32"])
    assert "floor S=512" in told
