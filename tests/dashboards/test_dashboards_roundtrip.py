"""Grafana's own foundation SDK reads every board and writes it back without losing a key."""

from __future__ import annotations

import json
import sys
import warnings

import pytest

from locant_dashboards.boards import BOARDS

pytest.importorskip("grafana_foundation_sdk", reason="NOT PROVEN HERE: grafana-foundation-sdk is not installed")


@pytest.fixture(scope="module")
def through_sdk():
    """A board as the SDK writes it after reading it. The SDK prefers the v2 schema and warns of v1 at import."""
    if sys.version_info < (3, 11):
        pytest.skip("NOT PROVEN HERE: grafana-foundation-sdk 0.0.21 needs Python 3.11")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.cog.plugins import register_default_plugins
        from grafana_foundation_sdk.models.dashboard import Dashboard
    register_default_plugins()

    def convert(board):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return json.loads(json.dumps(Dashboard.from_json(json.loads(json.dumps(board))), cls=JSONEncoder))

    return convert


def lost(ours, theirs, path="$"):
    """Paths of ours that theirs has not, or has otherwise. What theirs adds are defaults."""
    if isinstance(ours, dict):
        for key, value in ours.items():
            if not isinstance(theirs, dict) or key not in theirs:
                yield f"{path}.{key}"
            else:
                yield from lost(value, theirs[key], f"{path}.{key}")
    elif isinstance(ours, list):
        if not isinstance(theirs, list) or len(ours) != len(theirs):
            yield path
        else:
            for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                yield from lost(one, other, f"{path}[{index}]")
    elif ours != theirs:
        yield f"{path}: {ours!r} became {theirs!r}"


@pytest.mark.parametrize("name", BOARDS)
def test_nothing_is_lost(boards, through_sdk, name):
    assert list(lost(boards[name], through_sdk(boards[name]))) == []


def test_the_proof_sees_what_the_sdk_does_not_know(boards, through_sdk):
    board = json.loads(json.dumps(boards["oncall.json"]))
    panel = next(panel for panel in board["panels"] if panel["type"] == "timeseries")
    panel["options"]["legend"]["plaecment"] = "bottom"
    panel["hieght"] = 3
    broken = list(lost(board, through_sdk(board)))
    assert any("plaecment" in path for path in broken)
    assert any("hieght" in path for path in broken)
