"""Random traffic of every kind: nothing legal is reported, and next to everything that changes the output is."""

from __future__ import annotations

import pytest
from checks_scenarios import FLOWS, changes_output, draw, faults_of, run
from checks_traffic import World

from locant.sidecar.judge import Judge
from locant_slo.findings import Severity

QUICK, LONG = range(500), range(500, 2_000)
"""Seeds; `benchmarks/fuzz_checks.py` takes any others."""


def alerting(world: World) -> list[str]:
    judge = Judge()
    verdicts = (judge.judge(observation) for observation in world.sent)
    return [f"{f.check}: {f.message}" for v in verdicts for f in v.findings if f.severity is not Severity.INFO]


@pytest.mark.parametrize("seeds", [QUICK, pytest.param(LONG, marks=pytest.mark.slow)], ids=["quick", "long"])
class TestRandomTraffic:
    def test_legal_traffic_is_left_alone(self, seeds):
        alarms = {seed: found for seed in seeds if (found := alerting(run(draw(seed))))}
        assert not alarms, f"reproduce with checks_scenarios.run(draw(seed)): {alarms}"

    def test_faults_that_change_the_output_are_reported(self, seeds):
        missed, injected = [], 0
        for seed in seeds:
            spec = draw(seed)
            for fault in faults_of(spec)[seed % 4 :: 4]:
                if changes_output(spec, fault):
                    injected += 1
                    missed += [] if alerting(run(spec, fault)) else [(seed, spec.flow, fault)]
        assert injected > len(seeds) / 2
        assert len(missed) <= 0.02 * injected, f"reproduce with checks_scenarios.run(draw(seed), fault): {missed}"


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_each_kind_of_traffic_is_really_played(flow):
    worlds = [run(draw(seed, flow)) for seed in range(20)]
    assert all(len(world.sent) > 1 and world.seen for world in worlds)


def test_a_scenario_is_the_same_every_time():
    assert [run(draw(seed)).sent for seed in range(50)] == [run(draw(seed)).sent for seed in range(50)]
