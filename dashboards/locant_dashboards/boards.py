"""Spec to the three boards."""

from __future__ import annotations

from typing import Any

from locant_dashboards.debug import debug
from locant_dashboards.executive import executive
from locant_dashboards.oncall import oncall
from locant_slo.spec import Spec

BOARDS = {"executive.json": executive, "oncall.json": oncall, "debug.json": debug}


def build(spec: Spec) -> dict[str, dict[str, Any]]:
    """File name to dashboard, as plain data for `json.dump`. The same spec always gives the same boards.

    Where no probe watches there is nothing to debug, and the other two show budgets and alerts alone.
    """
    boards = BOARDS if spec.probe else {name: board for name, board in BOARDS.items() if board is not debug}
    return {name: board(spec).to_json_data() for name, board in boards.items()}
