"""The boards work with the command that grafanalib ships."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from locant_dashboards import build
from locant_dashboards.stock import spec_from
from locant_slo.errors import LocantError

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"
SPEC = """
version: locant/v1
service: chat
objectives:
  - {name: correct, indicator: sequence_correctness, target: 0.99}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "slo.yaml"
    path.write_text(SPEC)
    return path


@pytest.mark.parametrize("name", ["executive", "oncall", "debug"])
def test_generate_dashboard_writes_what_build_gives(file, tmp_path, name):
    command = Path(sys.executable).with_name("generate-dashboard")
    out = tmp_path / f"{name}.json"
    run = subprocess.run(
        [command, "-o", out, FOLDER / f"{name}.dashboard.py"],
        env={**os.environ, "LOCANT_SPEC": str(file)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(out.read_text()) == build(spec_from({"LOCANT_SPEC": str(file)}))[f"{name}.json"]


def test_a_file_with_two_services_is_refused_in_words(file):
    one, other = (f"selector: {{job: {name}}}\n{SPEC.replace('chat', name)}" for name in ("chat", "search"))
    file.write_text(f"{one}\n---\n{other}")
    with pytest.raises(LocantError, match="2 services"):
        spec_from({"LOCANT_SPEC": str(file)})
