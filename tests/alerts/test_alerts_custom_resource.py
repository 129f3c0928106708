"""PrometheusRule objects hold the same groups as the rule file, each object below the operator's limit."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from locant_alerts.custom_resource import LARGEST_OBJECT_BYTES, applied_bytes, build_custom_resources
from locant_alerts.rules import build_rules
from locant_slo.load import load_specs

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "slo.yaml"


@pytest.mark.parametrize("largest", [LARGEST_OBJECT_BYTES, 60_000, 30_000])
def test_together_they_hold_every_group_once_and_in_order(largest):
    (spec,) = load_specs(EXAMPLE)
    texts = build_custom_resources(spec, largest)
    objects = [yaml.safe_load(text) for text in texts]
    groups = [group for item in objects for group in item["spec"]["groups"]]
    assert groups == yaml.safe_load(build_rules(spec))["groups"]
    assert all(applied_bytes(item) <= largest for item in objects)
    assert (len(texts) > 1) == (largest < LARGEST_OBJECT_BYTES)
    assert len({item["metadata"]["name"] for item in objects}) == len(objects)


def test_the_objects_are_what_the_operator_looks_for():
    (spec,) = load_specs(EXAMPLE)
    (content,) = [yaml.safe_load(text) for text in build_custom_resources(spec)]
    assert (content["apiVersion"], content["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert content["metadata"]["name"] == "locant-chat"
    for group in content["spec"]["groups"]:
        for rule in group["rules"]:
            strings = {**rule.get("labels", {}), **rule.get("annotations", {})}
            assert all(isinstance(value, str) for value in strings.values())
