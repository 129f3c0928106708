"""Draws the oncall board: `LOCANT_SPEC=slo.yaml generate-dashboard -o oncall.json oncall.dashboard.py`."""

import os

from locant_dashboards.oncall import oncall
from locant_dashboards.stock import spec_from

dashboard = oncall(spec_from(os.environ))
