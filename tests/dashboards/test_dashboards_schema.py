"""The boards type-check, as literals, against the TypeScript schema that Grafana 13 itself is built from."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parent / "grafana_schema"


def panel_of(board, kind):
    return next(panel for panel in board["panels"] if panel["type"] == kind)


def misspelt_option(board):
    panel_of(board, "timeseries")["options"]["legend"]["placment"] = "bottom"


def misspelt_field_option(board):
    panel_of(board, "timeseries")["fieldConfig"]["defaults"]["custom"]["lineWdith"] = 1


def unknown_panel_key(board):
    panel_of(board, "table")["span"] = 6


def wrong_enum(board):
    panel_of(board, "stat")["options"]["colorMode"] = "rainbow"


def string_for_number(board):
    panel_of(board, "bargauge")["gridPos"]["h"] = "8"


def string_for_null(board):
    panel_of(board, "bargauge")["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] = "null"


def missing_option(board):
    del panel_of(board, "heatmap")["options"]["yAxis"]


def old_gauge_option(board):
    panel_of(board, "gauge")["options"]["fieldOptions"] = {}


CONTROLS = {
    "executive.json": (
        misspelt_option,
        misspelt_field_option,
        wrong_enum,
        string_for_number,
        string_for_null,
        old_gauge_option,
    ),
    "oncall.json": (unknown_panel_key,),
    "debug.json": (missing_option,),
}


@pytest.fixture(scope="module")
def complaints(boards, tmp_path_factory):
    """What tsc says of each file: the boards and, to prove the proof, boards with one thing wrong."""
    modules = installed()
    folder = tmp_path_factory.mktemp("grafana_schema")
    for name in ("tsconfig.json", "model.ts"):
        shutil.copy(PROJECT / name, folder)
    (folder / "node_modules").symlink_to(modules)
    for name, board in boards.items():
        write(folder, Path(name).stem, board)
        for spoil in CONTROLS[name]:
            spoilt = copy.deepcopy(board)
            spoil(spoilt)
            write(folder, spoil.__name__, spoilt)
    tsc = [str(modules / ".bin" / "tsc"), "--pretty", "false", "-p", str(folder)]
    run = subprocess.run(tsc, capture_output=True, text=True, cwd=folder, timeout=240)
    found = defaultdict(list)
    for file, message in re.findall(r"^(\w+)\.ts\(.*?\): (error .*)$", run.stdout, re.M):
        found[file].append(message)
    assert run.returncode == (2 if found else 0), run.stdout + run.stderr
    return found


def installed() -> Path:
    """The pinned packages, installed once into the checkout; the test is skipped, with words, where that fails."""
    modules = PROJECT / "node_modules"
    if not (modules / ".bin" / "tsc").exists():
        if shutil.which("npm") is None:
            pytest.skip("NOT PROVEN HERE: npm is not installed, so the boards were not held against Grafana's types")
        npm = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        run = subprocess.run(
            npm, cwd=PROJECT, capture_output=True, text=True, timeout=240, env={**os.environ, "CI": "1"}
        )
        if run.returncode:
            pytest.skip(f"NOT PROVEN HERE: npm could not install Grafana's types: {run.stderr.strip()[-300:]}")
    return modules


def write(folder: Path, name: str, board) -> None:
    text = json.dumps(board, indent=1)
    (folder / f"{name}.ts").write_text(
        f"import type {{ Board }} from './model';\nexport const board: Board = {text};\n"
    )


@pytest.mark.parametrize("name", CONTROLS)
def test_grafanas_types_accept_the_board(complaints, name):
    assert complaints[Path(name).stem] == []


@pytest.mark.parametrize(
    "spoil", [spoil for group in CONTROLS.values() for spoil in group], ids=lambda spoil: spoil.__name__
)
def test_grafanas_types_refuse(complaints, spoil):
    assert len(complaints[spoil.__name__]) >= 1


def test_the_model_itself_compiles(complaints):
    assert complaints["model"] == []
