"""What an optional package's absence says."""

from __future__ import annotations

import pytest

from locant.extras import require
from locant_slo.errors import MachineError


def test_what_is_installed_is_not_asked_for():
    require("demo", "json", "sys")


def test_what_is_missing_is_named_with_its_cure():
    with pytest.raises(MachineError, match=r"no_such_thing is not installed; run pip install 'locant\[demo\]'"):
        require("demo", "json", "no_such_thing")
