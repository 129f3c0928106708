"""Every alert has a runbook, every runbook an alert, and each says what one needs at night."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from locant.cli import cli
from locant_alerts.model import Alert
from locant_alerts.objective_runbooks import objective_runbooks
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
def test_a_positional_one_says_all_that_is_to_be_done_and_its_own_part_of_it(mode):
    text = runbooks()[f"{mode.word}.md"]
    steps = set(re.findall(r"^[0-9]\. ([A-Z][a-z ]+?)(?=:| if | before )", text, flags=re.M))
    wanted = {"Version and configuration", "Batching and reset", "Attention on padding"}
    assert wanted | {"Reproduce from the recorded case", "Roll back", "Capture"} <= steps
    own = [line for line in text.splitlines() if "Batching and reset:" in line or "Attention on padding:" in line]
    others = [other for name, other in runbooks().items() if name != f"{mode.word}.md"]
    assert not any(line[3:] in other for line in own for other in others)


def test_every_command_in_a_runbook_exists():
    known = set(cli.commands)
    for name, text in runbooks().items():
        for command in re.findall(r"`locant ([a-z]+)", text):
            assert command in known, f"{name}: locant {command}"


class TestObjectives:
    def test_each_that_alerts_has_a_page_with_its_numbers_its_queries_and_the_common_chapters(self):
        (spec,) = load_specs(ROOT / "examples" / "slo.yaml")
        pages = objective_runbooks(spec)
        assert set(pages) == {f"chat-{one.name}.md" for one in spec.objectives if one.alerting.enabled}
        page = pages["chat-padding-attention.md"]
        assert re.findall(r"^## (.+)$", page, flags=re.M) == CHAPTERS
        assert "Promised: 99 % good over 30d. An event is a forward pass with padding" in page
        assert "| fast | page | 14.4 % | 1h and 5m | 5 bad events or more | 2 % | 2d 2h |" in page
        assert 'increase(locant_sli_bad_events_total{indicator="padding_attention"}[1h])' in page
        assert "[padding_leakage](padding_leakage.md)" in page
        assert set(re.findall(r"\]\(([a-z_]+\.md)\)", page)) <= set(runbooks())

    def test_annotations_point_to_them_where_the_spec_says_where_its_runbooks_are(self):
        (spec,) = load_specs(ROOT / "examples" / "slo.yaml")
        mine = spec.model_copy(update={"runbook_url": "https://runbooks.example/chat"})
        rules = [rule for group in build_groups(mine) for rule in group.rules if isinstance(rule, Alert)]
        urls = {rule.annotations["runbook_url"].removeprefix("https://runbooks.example/chat/") for rule in rules}
        assert urls <= {*runbooks(), *objective_runbooks(mine)}
        assert "chat-padding-attention.md" in urls
        assert "budget_burn.md" not in urls
