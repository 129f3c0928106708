"""Canary answers against the truth, against the predecessor, and their loss by position."""

from __future__ import annotations

from math import log

import pytest

from locant.observation import CanaryFacts
from locant.sidecar.config import AgentConfig
from locant.sidecar.references import Reference, References, Sum
from locant.sidecar.service import Agent
from locant_slo.catalogue import metrics
from locant_slo.snapshot import Snapshot
from support.sidecar_traffic import MODEL, OWN, START, VERSION, Clock, ScriptedJudge, attached, canary, value, values


def counted(*observations: CanaryFacts, reference: Reference | None = None) -> Snapshot:
    references = References(models={MODEL: reference}) if reference else None
    agent = Agent(AgentConfig(loss_limit_nats=0.1), ScriptedJudge(), references=references, clock=Clock())
    agent.ingest([attached(), *observations])
    return agent.snapshot()


def sli(snapshot: Snapshot, indicator: str) -> tuple[float, float]:
    labels = (indicator, *OWN)
    return value(snapshot, metrics.SLI_EVENTS, *labels), value(snapshot, metrics.SLI_BAD_EVENTS, *labels)


def test_cases_inside_the_trained_length_are_correctness() -> None:
    snapshot = counted(canary("a", True), canary("b", False), canary("c", True))
    assert sli(snapshot, "sequence_correctness") == (3, 1)
    assert sli(snapshot, "extrapolation_accuracy") == (0, 0)
    cases = values(snapshot, metrics.CANARY_CASES)
    assert cases == {("copy", "up_to_1", "pass", *OWN): 2, ("copy", "up_to_1", "fail", *OWN): 1}


def test_a_task_that_never_failed_has_a_zero_to_fail_from() -> None:
    assert values(counted(canary("a", True)), metrics.CANARY_CASES)["copy", "up_to_1", "fail", MODEL, VERSION] == 0


def test_long_cases_count_only_where_their_twin_was_right() -> None:
    twins = [(twin, right) for twin in (True, False, None) for right in (True, False)]
    long = [canary(f"{twin} {right}", right, beyond_trained=True, twin_right=twin) for twin, right in twins]
    snapshot = counted(*long)
    assert sli(snapshot, "extrapolation_accuracy") == (2, 1)
    assert sli(snapshot, "sequence_correctness") == (0, 0)


PREDECESSOR = Reference(model_version="r0", canary={f"case {i}": i < 20 for i in range(25)})


def test_a_case_is_a_regression_where_the_predecessor_was_right_and_this_release_is_not() -> None:
    answers = [canary(f"case {i}", i % 2 == 0) for i in range(30)]
    snapshot = counted(*answers, reference=PREDECESSOR)
    assert sli(snapshot, "positional_regression") == (25, 10)


def test_evidence_reaches_one_percent_at_the_ninth_newly_failing_case() -> None:
    for failing, alarm in ((8, False), (9, True)):
        answers = [canary(f"case {i}", i >= failing) for i in range(20)]
        evidence = values(counted(*answers, reference=PREDECESSOR), metrics.REGRESSION_LOG_EVIDENCE)
        assert (evidence["r0", MODEL, VERSION] > log(100)) is alarm


def test_asking_the_same_case_again_is_an_event_but_no_new_evidence() -> None:
    once = counted(*[canary(f"case {i}", False) for i in range(5)], reference=PREDECESSOR)
    often = counted(*[canary(f"case {i}", False) for i in range(5)] * 10, reference=PREDECESSOR)
    assert values(once, metrics.REGRESSION_LOG_EVIDENCE) == values(often, metrics.REGRESSION_LOG_EVIDENCE)
    assert sli(often, "positional_regression") == (50, 50)


def test_a_release_is_not_its_own_predecessor() -> None:
    own = Reference(model_version=VERSION, canary={"a": True})
    snapshot = counted(canary("a", False), reference=own)
    assert sli(snapshot, "positional_regression") == (0, 0)
    assert not values(snapshot, metrics.REGRESSION_LOG_EVIDENCE)


def test_newly_passing_cases_speak_for_the_release() -> None:
    answers = [canary(f"case {i}", True) for i in range(25)]
    assert values(counted(*answers, reference=PREDECESSOR), metrics.REGRESSION_LOG_EVIDENCE)["r0", MODEL, VERSION] < 0


def test_loss_is_summed_by_position_and_judged_once_a_run() -> None:
    loss = {"begin": Sum(total=10.0, count=10), "end": Sum(total=10.0, count=10), "beyond": Sum(total=0.0, count=0)}
    reference = Reference(model_version=VERSION, loss=loss)
    first = canary("a", True, loss_nats=(("begin", 1.0, 1), ("end", 1.0, 1), ("middle", 1.0, 1), ("beyond", 1.0, 1)))
    last = canary("b", True, loss_nats=(("begin", 1.05, 1), ("end", 1.3, 1)), last_of_run=True, time=START + 60)
    assert sli(counted(first, reference=reference), "positional_loss") == (0, 0)
    snapshot = counted(first, last, reference=reference)
    assert sli(snapshot, "positional_loss") == (2, 1)
    assert value(snapshot, metrics.CANARY_LOSS, "end", *OWN) == pytest.approx(2.3)
    assert value(snapshot, metrics.CANARY_LOSS_TOKENS, "end", *OWN) == 2
    assert value(snapshot, metrics.CANARY_LAST_RUN, *OWN) == START + 60
    assert sli(counted(first, last, last, reference=reference), "positional_loss") == (4, 2)


def test_a_loss_that_is_no_number_does_not_hide_the_wrong_answer() -> None:
    broken = canary("a", False, loss_nats=(("begin", float("nan"), 1),), last_of_run=True)
    snapshot = counted(broken, canary("b", True, loss_nats=(("begin", 1.0, 1),)))
    assert sli(snapshot, "sequence_correctness") == (2, 1)
    assert value(snapshot, metrics.CANARY_LOSS, "begin", *OWN) == 1.0
