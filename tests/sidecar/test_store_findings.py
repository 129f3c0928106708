"""Equal findings are one with a count, and a flood of them stays bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from locant.sidecar.store import FindingLog, Store
from locant_slo.catalogue import metrics
from locant_slo.findings import Severity
from support.sidecar_traffic import OWN, START, finding, value


def test_equal_findings_are_one_with_the_first_message_and_the_widest_span() -> None:
    log = FindingLog()
    log.merge(finding(first_seen=20.0, last_seen=20.0, evidence={"row": 1}))
    log.merge(finding(first_seen=10.0, last_seen=30.0, count=4, message="Later words.", evidence={"row": 2}))
    (one,) = log.worst_first()
    assert (one.count, one.first_seen, one.last_seen) == (5, 10.0, 30.0)
    assert (one.message, one.evidence) == ("Positions went on.", {"row": 1})


def test_findings_come_worst_first_and_oldest_first_among_equals() -> None:
    log = FindingLog()
    log.merge(finding("c", Severity.INFO, first_seen=1.0))
    log.merge(finding("b", Severity.PAGE, first_seen=3.0))
    log.merge(finding("a", Severity.PAGE, first_seen=2.0))
    log.merge(finding("d", Severity.TICKET, first_seen=0.0))
    assert [one.check for one in log.worst_first()] == ["a", "b", "d", "c"]


def test_a_full_log_gives_up_the_least_severe_that_was_seen_longest_ago() -> None:
    log = FindingLog(capacity=3)
    for check, severity in (("page", Severity.PAGE), ("old", Severity.INFO), ("seen_again", Severity.INFO)):
        log.merge(finding(check, severity))
    log.merge(finding("old", Severity.INFO))
    log.merge(finding("new", Severity.TICKET))
    assert [one.check for one in log.worst_first()] == ["page", "new", "old"]
    assert log.evicted == 1


def test_a_minor_finding_never_displaces_a_severe_one() -> None:
    log = FindingLog(capacity=1)
    log.merge(finding("page", Severity.PAGE))
    log.merge(finding("info", Severity.INFO))
    assert [one.check for one in log.worst_first()] == ["page"]


def test_a_new_finding_takes_the_place_of_one_as_severe_that_was_seen_longest_ago() -> None:
    log = FindingLog(capacity=2)
    for check in ("oldest", "older", "new"):
        log.merge(finding(check, Severity.TICKET))
    assert {one.check for one in log.worst_first()} == {"older", "new"}


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(list(Severity)), st.integers(1, 9)), max_size=60)
)
@settings(max_examples=50)
def test_the_log_is_bounded_and_the_counter_misses_nothing(seen: list[tuple[str, Severity, int]]) -> None:
    log = FindingLog(capacity=4)
    store = Store(started_at=START, findings=log)
    for check, severity, count in seen:
        store.merge(finding(check, severity, count=count, model=OWN[0], model_version=OWN[1]))
    assert len(store.findings()) <= 4
    for check, severity in {(check, severity) for check, severity, _ in seen}:
        total = sum(count for c, s, count in seen if (c, s) == (check, severity))
        assert value(store.snapshot(START), metrics.FINDINGS, "F2", severity.value, check, *OWN) == total
