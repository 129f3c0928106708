"""Routing is proven by amtool, inhibition and grouping by a real Alertmanager."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from alert_support import make_spec

from locant_alerts.alertmanager import build_alertmanager, receiver
from locant_slo.findings import Severity
from locant_slo.load import load_specs
from support.real_servers import eventually, free_port, running

ROOT = Path(__file__).resolve().parents[2]
BURN = {
    "alertname": "LocantIntegrityBudgetBurn",
    "slo": "integrity",
    "service": "chat",
    "team": "ml-platform",
    "model": "m",
    "model_version": "1",
}


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "alertmanager.yaml"
    path.write_text(build_alertmanager([make_spec()]))
    return path


def test_alertmanager_accepts_the_example(program, tmp_path):
    path = tmp_path / "alertmanager.yaml"
    path.write_text(build_alertmanager(load_specs(ROOT / "examples" / "slo.yaml")))
    run = subprocess.run([program("amtool"), "check-config", path], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_severity_and_team_finds_its_receiver(program, tmp_path):
    specs = (make_spec(team="talkers"), make_spec(team="finders", service="search"))
    path = tmp_path / "alertmanager.yaml"
    path.write_text(build_alertmanager(specs))
    for spec in specs:
        for severity in (Severity.PAGE, Severity.TICKET):
            labels = [f"team={spec.team}", f"service={spec.service}", f"severity={severity.value}", "slo=a"]
            wanted = f"--verify.receivers={receiver(spec, severity)}"
            command = [program("amtool"), "config", "routes", "test", f"--config.file={path}", wanted, *labels]
            run = subprocess.run(command, capture_output=True, text=True)
            assert run.returncode == 0, run.stdout + run.stderr


def test_what_no_route_knows_opens_a_ticket(program, config):
    wanted = "--verify.receivers=ml-platform/chat/ticket"
    command = [program("amtool"), "config", "routes", "test", f"--config.file={config}", wanted, "severity=unheard"]
    assert subprocess.run(command, capture_output=True).returncode == 0


def post(url: str, alerts: list[dict[str, str]]) -> None:
    body = json.dumps([{"labels": labels} for labels in alerts]).encode()
    request = urllib.request.Request(f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()


def get(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}{path}", timeout=10) as response:
        return json.load(response)


@pytest.mark.server
def test_the_loudest_alert_of_a_cause_speaks_for_it(program, config, tmp_path):
    def burn(tier: str, severity: str, **more: str) -> dict[str, str]:
        return BURN | {"tier": tier, "severity": severity} | more

    fault = {"alertname": "LocantPositionalFault", "fault": "precision", "service": "chat", "model": "m"}
    silent = {"alertname": "LocantProbeSilent", "service": "chat", "severity": "ticket"}
    no_data = {"alertname": "LocantIntegrityNoData", "slo": "integrity", "severity": "ticket"}
    speaks = {
        "fast": burn("fast", "page"),
        "another model": burn("slow", "ticket", model="other"),
        "another release": burn("slow", "ticket", model_version="2"),
        "another slo": burn("slow", "ticket", slo="padding"),
        "another service": burn("slow", "ticket", service="search"),
        "fault pages": fault | {"severity": "page"},
        "another fault": fault | {"fault": "crafted_input", "severity": "ticket"},
        "nobody is there": silent | {"cause": "absent"},
        "no data elsewhere": no_data | {"service": "search"},
        "not of an slo": silent | {"alertname": "LocantSeriesRefused"},
    }
    hushed = {
        "medium by fast": burn("medium", "page"),
        "slow by fast": burn("slow", "ticket"),
        "trickle by fast": burn("trickle", "ticket"),
        "fault ticket by fault page": fault | {"severity": "ticket"},
        "no data by nobody there": no_data | {"service": "chat"},
    }
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [program("prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={tmp_path / 'data'}"]
    flags = [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with running([*command, *flags], f"{url}/-/ready", tmp_path / "log"):
        post(url, list(speaks.values()))
        eventually(lambda: len(get(url, "/api/v2/alerts")) == len(speaks))
        post(url, list(hushed.values()))
        eventually(lambda: settled(url, len(speaks) + len(hushed)))
        state = {frozenset(alert["labels"].items()): alert["status"]["state"] for alert in get(url, "/api/v2/alerts")}
        groups = get(url, "/api/v2/alerts/groups")
    assert {name for name, labels in speaks.items() if state[frozenset(labels.items())] != "active"} == set()
    assert {name for name, labels in hushed.items() if state[frozenset(labels.items())] != "suppressed"} == set()
    keys = [(group["receiver"]["name"], tuple(sorted(group["labels"].items()))) for group in groups]
    assert len(set(keys)) == len(keys)
    assert all(set(group["labels"]) <= {"service", "model", "model_version"} for group in groups)


def settled(url: str, count: int) -> bool:
    """All alerts are there and the states have been worked out."""
    alerts = get(url, "/api/v2/alerts")
    return len(alerts) == count and not any(alert["status"]["state"] == "unprocessed" for alert in alerts)


NIGHT = {"name": "night", "days": ["sat", "wed"], "start": "22:30", "lasts": "26h", "time_zone": "Europe/Berlin"}
SHARDED = {
    "name": "integrity",
    "indicator": "position_integrity",
    "target": 0.999,
    "group_by": ["model", "tenant", "shard"],
    "similar": ["shard"],
}


def written(folder: Path, *specs: Any) -> tuple[Path, dict[str, Any]]:
    path = folder / "alertmanager.yaml"
    path.write_text(build_alertmanager(specs))
    return path, yaml.safe_load(path.read_text())


def test_a_stretch_is_muted_across_midnights(program, tmp_path):
    path, content = written(tmp_path, make_spec(routing={"mute": [NIGHT]}))
    run = subprocess.run([program("amtool"), "check-config", path], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    (interval,) = content["time_intervals"]
    shown = [
        (part["weekdays"][0], part["times"][0]["start_time"], part["times"][0]["end_time"])
        for part in interval["time_intervals"]
    ]
    assert shown == [
        ("saturday", "22:30", "24:00"),
        ("sunday", "00:00", "24:00"),
        ("monday", "00:00", "00:30"),
        ("wednesday", "22:30", "24:00"),
        ("thursday", "00:00", "24:00"),
        ("friday", "00:00", "00:30"),
    ]
    assert all(route["mute_time_intervals"] == ["chat/night"] for route in content["route"]["routes"])


def test_weekly_maintenance_is_muted_too_and_other_kinds_are_left_to_the_rules(tmp_path):
    once = {"name": "once", "at": "2026-12-24T22:00:00+01:00", "lasts": "2h"}
    _, content = written(tmp_path, make_spec(maintenance=[NIGHT, once]))
    assert [interval["name"] for interval in content["time_intervals"]] == ["chat/night"]


def test_groups_are_told_apart_and_similar_ones_are_one_notification(program, tmp_path):
    path, content = written(tmp_path, make_spec(SHARDED))
    assert content["route"]["group_by"] == ["service", "model", "model_version", "tenant"]
    alike = content["route"]["routes"][0]["routes"][0]
    assert (alike["group_by"], alike["matchers"]) == (["service", "similarity"], ['similarity!=""'])
    labels = ["team=ml-platform", "service=chat", "severity=page", "slo=integrity", "similarity=chat/integrity/m/t"]
    wanted = "--verify.receivers=ml-platform/chat/page"
    command = [program("amtool"), "config", "routes", "test", f"--config.file={path}", wanted, *labels]
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_inhibition_stays_within_one_group(tmp_path):
    _, content = written(tmp_path, make_spec(SHARDED))
    promises = [rule["equal"] for rule in content["inhibit_rules"] if "slo" in rule["equal"]]
    assert promises
    assert all("tenant" in equal and "shard" not in equal for equal in promises)
