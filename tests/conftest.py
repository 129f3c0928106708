"""What every test shares: one thread per process for torch, the same examples each time, and real programs found or
loudly missed."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("LOCANT_HYPOTHESIS", "gate"))
"""The same commit gets the same verdict; LOCANT_HYPOTHESIS=explore looks for examples that nobody has tried."""


@pytest.fixture
def program():
    """Path of an installed program by name; the test is skipped, with words, where it is missing."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"NOT PROVEN HERE: {name} is missing; install it, or run `make servers` for Prometheus's")
        return path

    return find
