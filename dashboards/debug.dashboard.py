"""Draws the debug board: `LOCANT_SPEC=slo.yaml generate-dashboard -o debug.json debug.dashboard.py`."""

import os

from locant_dashboards.debug import debug
from locant_dashboards.stock import spec_from

dashboard = debug(spec_from(os.environ))
