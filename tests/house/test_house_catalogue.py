"""The catalogue keeps the naming conventions and is the only place where a metric is spelled."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

from locant_slo import names
from locant_slo.catalogue import ALL, Kind
from locant_slo.catalogue.page import render_page
from locant_slo.spec_page import render_spec_page

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("agent", "slo", "exporters", "alerts", "dashboards")
HOME = (ROOT / "slo/locant_slo/catalogue", ROOT / "slo/locant_slo/names.py")
STEMS = {m.prometheus_name.removesuffix("_total") for m in ALL}
METRIC_NAMES = re.compile("|".join(sorted(STEMS, key=len, reverse=True)))
DOTTED_NAMES = {m.name for m in ALL}
RULE_NAMES = re.compile(r"locant:[a-z_]+|Locant[A-Z][A-Za-z]+(Burn|NoData|Silent|Dropped|Stale|Lost|Fault)")


def sources() -> list[pathlib.Path]:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return [path for path in files if not any(path == home or home in path.parents for home in HOME)]


def literals(path: pathlib.Path) -> list[tuple[int, str]]:
    """String constants that are not docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_metric_or_rule_is_spelled_outside_the_catalogue(path):
    spelled = [
        (line, text)
        for line, text in literals(path)
        if METRIC_NAMES.search(text) or text in DOTTED_NAMES or RULE_NAMES.search(text)
    ]
    assert not spelled


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_label_is_glued_into_a_query_by_hand(path):
    labels = "|".join(sorted({name for metric in ALL for name in metric.label_names}))
    glued = re.compile(rf"\b({labels})\s*(=~|!~|!=|=)\s*\"|\b(by|without|on|ignoring|group_left)\s*\(\s*({labels})\b")
    assert not [(line, text) for line, text in literals(path) if glued.search(text)]


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
class TestEveryMetric:
    def test_carries_the_prefix_and_snake_case(self, metric):
        assert re.fullmatch(r"locant(\.[a-z][a-z0-9]*)+", metric.name)

    def test_ends_in_its_base_unit(self, metric):
        suffix = {"s": "seconds", "By": "bytes"}.get(metric.unit)
        assert suffix is None or metric.name.endswith(suffix)
        assert not metric.name.endswith(".total")

    def test_counters_end_in_total_and_infos_in_info(self, metric):
        assert metric.prometheus_name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert metric.prometheus_name.endswith("_info") == (metric.kind is Kind.INFO)

    def test_gauges_without_unit_are_ratios(self, metric):
        if metric.kind is Kind.GAUGE and metric.unit == "1":
            assert metric.prometheus_name.endswith("_ratio")

    def test_has_help_and_distinct_labels(self, metric):
        assert metric.help.endswith(".")
        assert len(set(metric.label_names)) == len(metric.labels)

    def test_only_histograms_have_buckets_and_they_rise(self, metric):
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))


def test_names_are_unique():
    spelled = [metric.prometheus_name for metric in ALL]
    assert len(set(spelled)) == len(spelled)


def test_no_label_could_carry_a_request_a_prompt_or_a_user():
    forbidden = {"request_id", "prompt", "user", "user_id", "session", "text", "token"}
    assert not forbidden & {name for metric in ALL for name in metric.label_names}


def test_the_reference_page_is_up_to_date():
    assert (ROOT / "docs/reference/metrics.md").read_text() == render_page(), "run `make reference`"
    assert (ROOT / "docs/reference/slo.md").read_text() == render_spec_page(), "run `make reference`"


def test_camel_case_of_an_slo_name():
    assert names.camel("padding-attention") == names.camel("padding_attention") == "PaddingAttention"
