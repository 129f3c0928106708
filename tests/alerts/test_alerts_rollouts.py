"""A rollout goes back for a worse release, waits for one that says nothing, and goes on with one that is no worse."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pytest
import yaml
from alert_support import make_spec

from locant_alerts.rollouts.argo import build_argo
from locant_alerts.rollouts.flagger import build_canary_analysis, build_metric_templates
from locant_slo.load import load_specs
from locant_slo.spec import Spec
from support.blocks import Counter, import_counters
from support.real_servers import Api, prometheus

SCHEMAS = Path(__file__).parent / "rollout_schemas"
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "slo.yaml"
TICKETS = {"tiers": [{"name": "slow", "severity": "ticket", "budget": 0.1, "long": "1d", "short": "2h"}]}
MINUTES = 40
START = int(time.time()) // 60 * 60 - 3_600
BORN = 20


def schema(name: str, part: str = "") -> dict:
    content = json.loads((SCHEMAS / f"{name}.json").read_text())
    return content | {"$ref": f"#/$defs/{part}"} if part else content


class TestText:
    def test_every_object_fits_the_published_structure(self):
        for spec in (make_spec(), *load_specs(EXAMPLE)):
            jsonschema.validate(yaml.safe_load(build_argo(spec)), schema("argo"))
            templates = build_metric_templates(spec)
            for text in templates.values():
                jsonschema.validate(yaml.safe_load(text), schema("flagger", "metric_template"))
            analysis = yaml.safe_load(build_canary_analysis(spec))["spec"]["analysis"]
            jsonschema.validate(analysis, schema("flagger", "analysis"))
            named = {yaml.safe_load(text)["metadata"]["name"] for text in templates.values()}
            assert {metric["templateRef"]["name"] for metric in analysis["metrics"]} == named

    def test_only_objectives_that_page_judge(self):
        slow = {"name": "drift", "indicator": "length_drift", "target": 0.99, "alerting": TICKETS}
        fast = {"name": "integrity", "indicator": "position_integrity", "target": 0.999}
        spec = make_spec(fast, slow)
        assert [metric["name"] for metric in yaml.safe_load(build_argo(spec))["spec"]["metrics"]] == ["integrity"]
        assert set(build_metric_templates(spec)) == {"integrity"}

    @pytest.mark.parametrize(
        "indicator",
        [
            {"kind": "events", "bad": "bad_total", "total": "all_total"},
            {"kind": "gauge", "value": "lag", "below": 5},
        ],
    )
    def test_what_cannot_tell_releases_apart_does_not_judge_them(self, indicator):
        spec = make_spec({"name": "a", "indicator": indicator, "target": 0.99})
        assert build_argo(spec) == ""
        assert build_metric_templates(spec) == {}

    def test_where_none_pages_nothing_is_written(self):
        spec = make_spec({"name": "drift", "indicator": "length_drift", "target": 0.99, "alerting": TICKETS})
        assert (build_argo(spec), build_metric_templates(spec), build_canary_analysis(spec)) == ("", {}, "")


def release(job: str, version: str, events: int, bad: int, minutes: int, since: int = 0) -> list[Counter]:
    """A release that counts so many events and bad events a minute, born at zero in minute `since`."""
    labels = {"indicator": "position_integrity", "model": "m", "model_version": version, "job": job}
    names = (("locant_sli_events_total", events), ("locant_sli_bad_events_total", bad))
    return [Counter(name, labels, [count] * minutes, since=since) for name, count in names]


# What a rollout meets: the releases beside it, the new one, and what Argo and Flagger then decide.
STORIES: dict[str, tuple[Sequence[Counter], str, str]] = {
    "no worse": (
        [*release("no worse", "old", 500, 0, MINUTES), *release("no worse", "new", 50, 0, 20, BORN)],
        "Successful",
        "advance",
    ),
    "worse": (
        [*release("worse", "old", 500, 0, MINUTES), *release("worse", "new", 50, 3, 20, BORN)],
        "Failed",
        "halt",
    ),
    "both broken": (
        [*release("both broken", "old", 500, 30, MINUTES), *release("both broken", "new", 50, 3, 20, BORN)],
        "Successful",
        "advance",
    ),
    "the cure": (
        [*release("the cure", "old", 500, 100, MINUTES), *release("the cure", "new", 50, 1, 20, BORN)],
        "Successful",
        "advance",
    ),
    "few events": (
        [*release("few events", "old", 500, 0, MINUTES), *release("few events", "new", 2, 2, 20, BORN)],
        "Inconclusive",
        "halt",
    ),
    "silent": (release("silent", "old", 500, 0, MINUTES), "Inconclusive", "halt"),
    "idle": (
        [*release("idle", "old", 500, 0, MINUTES), *release("idle", "new", 0, 0, 20, BORN)],
        "Inconclusive",
        "halt",
    ),
    "first ever": (release("first ever", "new", 50, 3, 20, BORN), "Failed", "halt"),
    "first and right": (release("first and right", "new", 50, 0, 20, BORN), "Successful", "advance"),
    "old one idle": (
        [*release("old one idle", "old", 0, 0, MINUTES), *release("old one idle", "new", 50, 3, 20, BORN)],
        "Failed",
        "halt",
    ),
}


def argo_phase(metric: dict, values: list[float]) -> str:
    """What the controller makes of a measurement: failed before successful, and neither is inconclusive."""

    def holds(condition: str) -> bool:
        return bool(eval(condition.replace("&&", "and"), {"__builtins__": {}, "len": len}, {"result": values}))

    if holds(metric["failureCondition"]):
        return "Failed"
    return "Successful" if holds(metric["successCondition"]) else "Inconclusive"


def flagger_decision(metric: dict, values: list[float]) -> str:
    """No value halts; a value beyond the range halts; so a NaN would pass."""
    return "halt" if not values or values[-1] > metric["thresholdRange"]["max"] else "advance"


def asked(api: Api, query: str) -> list[float]:
    return list(api.series(query, START + 60 * MINUTES).values())


def judged(api: Api, spec: Spec) -> tuple[str, str]:
    (metric,) = yaml.safe_load(build_argo(spec))["spec"]["metrics"]
    query = metric["provider"]["prometheus"]["query"].replace("{{args.model-version}}", "new")
    phase = argo_phase(metric, asked(api, query))
    (text,) = build_metric_templates(spec).values()
    (check,) = yaml.safe_load(build_canary_analysis(spec))["spec"]["analysis"]["metrics"]
    query = yaml.safe_load(text)["spec"]["query"].replace("{{ variables.model_version }}", "new")
    return phase, flagger_decision(check, asked(api, query))


@pytest.mark.server
def test_on_a_real_prometheus_every_story_ends_as_it_must(program, tmp_path):
    counters = [counter for story, _, _ in STORIES.values() for counter in story]
    import_counters(program("promtool"), tmp_path, counters, START)
    with prometheus(program("prometheus"), tmp_path, []) as api:
        found = {name: judged(api, make_spec(selector={"job": name})) for name in STORIES}
    assert found == {name: (phase, decision) for name, (_, phase, decision) in STORIES.items()}


@pytest.mark.parametrize("values", [[], [float("nan")], [0.0, 1.0]])
def test_neither_nothing_nor_nan_nor_a_surprise_is_a_success(values):
    (metric,) = yaml.safe_load(build_argo(make_spec()))["spec"]["metrics"]
    assert argo_phase(metric, values) == "Inconclusive"
