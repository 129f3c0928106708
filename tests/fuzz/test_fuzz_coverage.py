"""A short run of the fuzzer that coverage guides; the long one, `benchmarks/fuzz_parsers.py`, is in the docs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_targets import targets, together

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz_parsers.py"
INPUTS = 3000


def test_every_parser_takes_its_seeds():
    for target in (*targets(), together()):
        for seed in target.seeds:
            target.read(seed)


@pytest.mark.slow
def test_a_few_thousand_inputs_find_nothing_and_reach_into_the_parsers(tmp_path):
    pytest.importorskip("atheris", reason="NOT PROVEN HERE: atheris has no wheel for this Python")
    found = tmp_path / "found.json"
    flags = ["--only=together", f"--inputs={INPUTS}", f"--artifacts={tmp_path}", f"--json={found}"]
    run = subprocess.run([sys.executable, str(SCRIPT), *flags], capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stdout
    [outcome] = json.loads(found.read_text())
    assert outcome["inputs"] >= INPUTS
    assert outcome["edges"] > 1000
