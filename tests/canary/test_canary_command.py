"""`locant canary` and `locant gate` on a model in a folder."""

from __future__ import annotations

import pytest

from locant.canary.command import run_canary
from locant.canary.gate import gate_files
from locant.demo.bed import load_bed, suite_of
from locant_slo.errors import MachineError, ModelError


@pytest.fixture
def folder(tmp_path):
    load_bed("llama").model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_in_a_folder_is_asked_and_its_results_feed_the_gate(folder, tmp_path):
    saved = tmp_path / "results.json"
    report = run_canary(folder, save=saved, suite=suite_of(load_bed("llama")))
    assert report.healthy, report.text
    assert len(report.results) > 150
    verdict = gate_files(saved, saved)
    assert verdict.outcome == "pass"
    assert verdict.compared == len(report.results)


def test_without_a_suite_the_label_free_identities_are_asked(folder):
    report = run_canary(folder)
    assert report.healthy, report.text
    assert {result.task for result in report.results} == {"stream", "padding", "shift"}


def test_a_folder_without_a_model_is_one_sentence(tmp_path):
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        run_canary(tmp_path / "none")


def test_results_that_cannot_be_written_are_one_sentence(folder, tmp_path):
    with pytest.raises(MachineError, match="cannot be written"):
        run_canary(folder, save=tmp_path / "none" / "results.json")
