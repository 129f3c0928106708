"""What an import costs and what it pulls in."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "numpy", "yaml", "grafanalib", "prometheus_client", "pydantic", "rich")


def modules_after(statement: str) -> set[str]:
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(run.stdout)}


def test_importing_locant_pulls_in_nothing_heavy():
    assert not modules_after("import locant") & set(HEAVY)


def test_importing_locant_adds_little_to_bare_python():
    """Counted in modules, not in seconds: the machine's speed is not what is under test."""
    bare = len(modules_after("pass"))
    assert len(modules_after("import locant")) - bare < 60


@pytest.mark.parametrize(
    "module",
    ["locant.observation", "locant.wire.channel", "locant.sidecar.service", "locant_exporters.http", "locant.daemon"],
)
def test_nothing_after_the_queue_imports_torch(module):
    assert "torch" not in modules_after(f"import {module}")


def test_the_command_line_starts_without_torch():
    assert "torch" not in modules_after("import locant.cli")
