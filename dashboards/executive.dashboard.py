"""Draws the executive board: `LOCANT_SPEC=slo.yaml generate-dashboard -o executive.json executive.dashboard.py`."""

import os

from locant_dashboards.executive import executive
from locant_dashboards.stock import spec_from

dashboard = executive(spec_from(os.environ))
