"""The YAML that is written reads back as what was meant, for a safe loader of YAML 1.1."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_alerts.text import dump

STRINGS = st.text(max_size=20) | st.sampled_from(
    [
        "yes",
        "No",
        "on",
        "null",
        "~",
        "1e3",
        "0x1F",
        "1:30",
        "5m",
        "12",
        "a: b",
        "a #b",
        "- a",
        "a:",
        "",
        " a",
        "a\nb",
        "a\n",
    ]
)
VALUES = st.recursive(
    STRINGS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.dictionaries(STRINGS, VALUES, max_size=4))
def test_everything_survives(document):
    assert (yaml.safe_load(dump(document)) or {}) == document


@pytest.mark.parametrize("text", ["2m", "locant:sli_error:ratio5m", "https://example.org/a.md", "chat/integrity/30s"])
def test_simple_words_stand_plain(text):
    assert dump({"a": text}).endswith(f"\na: {text}\n")


def test_several_lines_stand_as_a_block():
    assert dump({"a": ["x > 1\nand y"]}).endswith("\na:\n  - |-\n    x > 1\n    and y\n")
