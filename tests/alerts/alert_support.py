"""Specs for the alert tests, and promtool to judge what is made of them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from locant_alerts.rules import build_groups, build_rules
from locant_slo.durations import format_duration
from locant_slo.load import parse_spec
from locant_slo.spec import Spec


def make_spec(*objectives: dict[str, Any], **fields: Any) -> Spec:
    """A spec; without objectives, one on position integrity at 99.9 %."""
    first = {"name": "integrity", "indicator": "position_integrity", "target": 0.999}
    content = {"version": "locant/v1", "service": "chat", "retention": "400d"} | fields
    return parse_spec(yaml.safe_dump(content | {"objectives": list(objectives) or [first]}), "slo.yaml")


def events(indicator: str, values: str, *, bad: bool = False, **labels: str) -> dict[str, str]:
    """An input series in promtool's notation: one of an indicator's two counters."""
    name = "locant_sli_bad_events_total" if bad else "locant_sli_events_total"
    shown = {"indicator": indicator, "model": "m", "model_version": "1"} | labels
    inside = ", ".join(f'{key}="{value}"' for key, value in shown.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def check(expr: str, minutes: float, *samples: tuple[str, float]) -> dict[str, Any]:
    """`expr` at a time gives exactly these samples, each its labels and value."""
    wanted = [{"labels": labels, "value": value} for labels, value in samples]
    return {"expr": expr, "eval_time": format_duration(int(minutes * 60)), "exp_samples": wanted}


def only(text: str, *prefixes: str) -> str:
    """A rule file with nothing but the groups whose names begin so: less to evaluate."""
    content = yaml.safe_load(text)
    kept = [group for group in content["groups"] if group["name"].startswith(prefixes)]
    return yaml.safe_dump({"groups": kept}, sort_keys=False)


def group_names(spec: Spec) -> list[str]:
    return [group.name for group in build_groups(spec)]


def promtool_test(
    program: str, folder: Path, spec: Spec, tests: list[dict[str, Any]], *, step: str = "1m", rules: str | None = None
) -> str:
    """What promtool says to these tests of a spec's objectives; empty when all of them hold."""
    text = rules if rules is not None else only(build_rules(spec), *(f"chat/{item.name}/" for item in spec.objectives))
    (folder / "r.rules.yaml").write_text(text)
    names = [group["name"] for group in yaml.safe_load(text)["groups"]]
    content = {"rule_files": ["r.rules.yaml"], "evaluation_interval": step, "group_eval_order": names, "tests": tests}
    return run_tests(program, folder, yaml.safe_dump(content, sort_keys=False))


def run_tests(program: str, folder: Path, text: str) -> str:
    """Run a test file that lies beside its rules."""
    (folder / "t.test.yaml").write_text(text)
    run = subprocess.run([program, "test", "rules", "t.test.yaml"], cwd=folder, capture_output=True, text=True)
    return "" if run.returncode == 0 else run.stdout + run.stderr
