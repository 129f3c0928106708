"""What the demo shows and concludes, without servers."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from locant.demo.backends import FiringAlert
from locant.demo.faults import DRILLS
from locant.demo.screen import Screen, View, alerts, findings, indicators, render
from locant.demo.slis import Events, between, counted
from locant.demo.verdict import Moment, Verdict, burns, harm, is_of, model_name, names_fault, strays
from locant_slo import names
from locant_slo.catalogue import labels, metrics
from locant_slo.findings import FailureMode, Finding, Severity
from locant_slo.snapshot import Family, Sample, Snapshot

DRILL = DRILLS[0]
KEY = ("sequence_correctness", model_name("llama"))
FINDING = Finding(
    FailureMode.PADDING_LEAKAGE, Severity.PAGE, "pads_unmasked", "7 [pads] are open", model=model_name("llama")
)
ALERT = FiringAlert(
    names.FINDING_ALERT,
    {names.FAULT: "padding_leakage", labels.MODEL.name: model_name("llama"), names.SEVERITY: "page"},
    "F3 in bed-llama",
    muted=False,
)
VIEW = View(
    "the headline", 3.0, {KEY: Events(0, 50)}, {KEY: Events(25, 50)}, {"bed-llama": "1 of 2"}, [FINDING], [ALERT]
)


def text_of(*parts, width=100) -> str:
    console = Console(file=io.StringIO(), width=width)
    for part in parts:
        console.print(part)
    return console.file.getvalue()


def test_a_view_shows_indicators_before_and_now_findings_and_alerts():
    text = text_of(render(VIEW))
    for words in ("the headline", "100.0% → 50.0%", "pads_unmasked", "7 [pads] are open", names.FINDING_ALERT):
        assert words in text


def test_a_live_view_fits_a_small_terminal():
    many = View("h", 1.0, VIEW.before, VIEW.now, VIEW.users, [FINDING] * 3, [ALERT] * 4)
    assert len(text_of(render(many), width=80).splitlines()) <= 24


def test_the_closing_blocks_show_the_whole_sentence():
    text = " ".join(text_of(findings([FINDING]), alerts([ALERT]), indicators(VIEW.before, VIEW.now), width=60).split())
    assert "7 [pads] are open" in text
    assert "F3 in bed-llama" in text


def test_plain_lines_are_rare_and_need_no_terminal():
    console = Console(file=io.StringIO())
    with Screen(console, plain=False) as screen:
        for _ in range(10):
            screen.show(VIEW)
    assert console.file.getvalue().count("bed-llama") == 1


@pytest.mark.parametrize(
    ("found", "alert", "burn", "harmed", "with_servers", "alone"),
    [
        (1.0, 2.0, 3.0, (1.0, 0.5), True, True),
        (None, 2.0, 3.0, (1.0, 0.5), False, False),
        (1.0, None, 3.0, (1.0, 0.5), False, True),
        (1.0, 2.0, None, (1.0, 0.5), False, True),
        (1.0, 2.0, 3.0, (1.0, 0.99), False, False),
        (1.0, 2.0, 3.0, None, False, False),
    ],
)
def test_a_drill_is_proven_only_by_finding_harm_and_alerts(found, alert, burn, harmed, with_servers, alone):
    verdict = Verdict(DRILL, found, alert, burn, harmed, VIEW)
    assert verdict.proven(alerting=True) is with_servers
    assert verdict.proven(alerting=False) is alone


def test_only_the_right_model_and_fault_count():
    assert is_of(FINDING, DRILL)
    assert names_fault(ALERT, DRILL)
    assert not is_of(FINDING, DRILLS[1])
    assert not names_fault(ALERT, DRILLS[1])
    assert not names_fault(FiringAlert(ALERT.name, ALERT.labels, "", muted=True), DRILL)
    assert not burns(ALERT, DRILL)


def test_a_finding_that_no_drill_explains_is_a_false_alarm():
    assert strays([FINDING], DRILLS) == []
    assert strays([FINDING], DRILLS[1:]) == [f"pads_unmasked on {model_name('llama')}"]


def test_moments_keep_the_first_time_and_harm_needs_events_on_both_sides():
    moment = Moment()
    for seconds, happened in ((1.0, False), (2.0, True), (3.0, True)):
        moment.note(seconds, happened)
    assert moment.at == 2.0
    assert harm(Events(0, 10), Events(5, 10)) == (1.0, 0.5)
    assert harm(Events(0, 0), Events(5, 10)) is None
    assert harm(None, Events(5, 10)) is None


def test_the_phase_between_two_snapshots_is_the_difference_over_all_releases():
    def snapshot(bad: float, total: float) -> Snapshot:
        samples = tuple(Sample((*KEY, version), total) for version in ("1", "2"))
        bads = (Sample((*KEY, "1"), bad),)
        return Snapshot(1.0, 0.0, (Family(metrics.SLI_EVENTS, samples), Family(metrics.SLI_BAD_EVENTS, bads)))

    phase = between(counted(snapshot(1, 10)), counted(snapshot(4, 30)))
    assert phase == {KEY: Events(3, 40)}
    assert phase[KEY].good_ratio == pytest.approx(1 - 3 / 40)
    assert Events(0, 0).good_ratio is None
