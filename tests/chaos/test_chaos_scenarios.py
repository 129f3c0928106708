"""Each thing the world does, at a small scale: output untouched, loss counted, recovered."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from chaos_scenarios import SCENARIOS, Scale, play

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_model_is_untouched_the_loss_counted_and_the_agent_recovers(scenario, tmp_path):
    verdict = play(scenario, tmp_path, Scale())
    assert verdict.untouched
    assert verdict.loss_counted
    assert verdict.passes > 90
