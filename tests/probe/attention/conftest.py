"""The double of flash-attn, importable while a test asks for it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

_OURS = ("flash_attn", "by_name")


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The double can be imported; it is gone again after the test."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "doubles"))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]


@pytest.fixture
def flash(doubles: None) -> ModuleType:
    """Models whose file imports the double of flash-attn by name."""
    return importlib.import_module("by_name")
