"""What the pages about the agent claim has its test, and every setting stands on its page."""

from __future__ import annotations

import pathlib
import re

import pytest

from locant.sidecar.config import AgentConfig
from locant_slo.catalogue.labels import REASON

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECURITY = (ROOT / "docs/security.md").read_text()
AGENT = (ROOT / "docs/agent.md").read_text()
REFERENCES = sorted(set(re.findall(r"`([a-z_]+/[a-z_]+\.py(?:::[a-z_0-9]+)?)`", SECURITY)))


@pytest.mark.parametrize("reference", REFERENCES)
def test_every_security_claim_names_a_test_that_exists(reference):
    path, _, name = reference.partition("::")
    text = (ROOT / "tests" / path).read_text()
    assert f"def {name}(" in text if name else "def test_" in text


def test_every_row_of_claims_names_a_test():
    rows = [line for line in SECURITY.splitlines() if line.startswith("| ") and not line.startswith("| claim")]
    assert len(rows) > 15
    assert all(".py" in row.rsplit("|", 2)[1] for row in rows)


@pytest.mark.parametrize("setting", sorted(AgentConfig.model_fields))
def test_every_setting_stands_on_the_agents_page(setting):
    assert f"`{setting}`" in AGENT or f"`{setting.split('_')[0]}_*`" in AGENT


@pytest.mark.parametrize("reason", REASON.values)
def test_every_reason_for_a_loss_is_explained(reason):
    assert f"`{reason}`" in AGENT
