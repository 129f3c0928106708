"""Every alert has a runbook, every runbook an alert, and each says what one needs at night."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from locant_alerts.model import Alert
from locant_alerts.rules import build_groups
from locant_alerts.runbooks import runbooks
from locant_alerts.words import FAULTS
from locant_slo import names
from locant_slo.catalogue import by_prometheus_name
from locant_slo.findings import FailureMode
from locant_slo.load import load_specs

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ["What it means", "Is it real?", "First five minutes", "Usual causes", "How to verify the fix"]


def linked() -> set[str]:
    (spec,) = load_specs(ROOT / "examples" / "slo.yaml")
    rules = [rule for group in build_groups(spec) for rule in group.rules if isinstance(rule, Alert)]
    urls = {rule.annotations["runbook_url"] for rule in rules}
    assert all(url.startswith(spec.runbook_url + "/") for url in urls)
    return {url.rsplit("/", 1)[1] for url in urls}


def test_every_annotation_resolves_to_a_file_and_every_file_is_used():
    assert linked() | {f"{names.FINDING_RUNBOOK}.md"} == set(runbooks())


def test_every_failure_mode_has_one_and_its_own_advice():
    assert {f"{mode.word}.md" for mode in FailureMode} <= set(runbooks())
    assert set(FAULTS) == set(FailureMode)


@pytest.mark.parametrize("name", sorted(runbooks()))
class TestEach:
    def test_has_the_chapters_in_order(self, name):
        assert re.findall(r"^## (.+)$", runbooks()[name], flags=re.M) == CHAPTERS

    def test_links_to_files_that_exist(self, name):
        assert set(re.findall(r"\]\(([a-z_]+\.md)\)", runbooks()[name])) <= set(runbooks())

    def test_names_metrics_that_exist(self, name):
        for metric in re.findall(r"\blocant_[a-z0-9_]+", runbooks()[name]):
            assert re.sub(r"_(bucket|sum|count)$", "", metric) in by_prometheus_name, metric


@pytest.mark.parametrize("mode", list(FailureMode), ids=lambda mode: mode.word)
def test_a_positional_one_says_verify_reproduce_roll_back_and_capture(mode):
    text = runbooks()[f"{mode.word}.md"]
    assert all(word in text for word in ("Version and configuration", "Reproduce", "Roll back", "Capture"))
