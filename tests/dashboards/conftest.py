"""One spec with every indicator that has an objective, and its boards."""

from __future__ import annotations

import pytest

from locant_dashboards import build
from locant_slo.indicators import INDICATORS
from locant_slo.spec import Spec


@pytest.fixture(scope="session")
def spec() -> Spec:
    objectives = [
        {"name": item.id.replace("_", "-"), "indicator": item.id, "target": item.objective}
        for item in INDICATORS
        if item.objective is not None
    ]
    return Spec.model_validate({"version": "locant/v1", "service": "chat", "objectives": objectives})


@pytest.fixture(scope="session")
def boards(spec):
    return build(spec)
