"""A spec against programs outside: promtool reads its PromQL, a running Prometheus shows its series."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml
from alert_support import make_spec
from click.testing import CliRunner

from locant.cli import cli
from locant_alerts.history.api import RefusedError
from locant_alerts.live import live_objections
from locant_alerts.syntax import syntax_problems
from locant_slo.errors import SpecError
from support.real_servers import eventually, prometheus


def own(**fields: object) -> dict[str, object]:
    return {"name": "own", "target": 0.99, "indicator": {"kind": "events", "total": "x_total", **fields}}


class TestSyntax:
    def test_what_promtool_cannot_read_is_told_with_its_path_and_place(self, program):
        spec = make_spec(
            own(bad="sum(ratee(b_total[$window]))"),
            own(bad="b_total") | {"name": "fine"},
            maintenance=[{"name": "n", "condition": "sum(x) +"}],
        )
        assert syntax_problems(program("promtool"), [spec]) == (
            'objectives[0].indicator.bad: character 5: Prometheus cannot read it: unknown function with name "ratee"',
            "maintenance[0].condition: character 9: Prometheus cannot read it: unexpected end of input",
        )

    def test_what_it_can_read_is_not(self, program):
        assert syntax_problems(program("promtool"), [make_spec(own(bad="b_total"))]) == ()

    def test_nobody_is_asked_about_built_in_indicators(self):
        assert syntax_problems("/no/such/program", [make_spec()]) == ()

    def test_where_there_is_no_promtool_that_is_said_aloud(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        (tmp_path / "slo.yaml").write_text(file_of(own(bad="b_total")))
        result = CliRunner().invoke(cli, ["check", "-f", str(tmp_path / "slo.yaml")])
        assert result.exit_code == 0
        assert "NOT CHECKED" in result.output
        assert "promtool is not installed" in result.output


def file_of(*objectives: dict[str, object]) -> str:
    content = {"version": "locant/v1", "service": "chat", "retention": "40d", "objectives": list(objectives)}
    return yaml.safe_dump(content)


LATENCY = {"name": "slow", "target": 0.99, "indicator": {"kind": "latency", "histogram": "t_seconds", "le": 0.2}}


class TestLive:
    def said(self, objective: dict[str, object], answers: Mapping[str, Sequence[Mapping[str, str]]]) -> list[str]:
        found = live_objections(make_spec(objective), lambda query: answers.get(query, []))
        return [f"{item.severity} {item.path}: {item.sentence}" for item in found]

    def test_a_bound_that_no_bucket_has_is_refused_with_those_that_are(self):
        answers = {"count by (le) (t_seconds_bucket)": [{"le": "+Inf"}, {"le": "0.5"}, {"le": "0.25"}]}
        assert self.said(LATENCY, answers) == [
            "error objectives[0].indicator.le: 0.2 is no bound of t_seconds; its buckets are 0.25, 0.5, +Inf"
        ]

    def test_series_that_do_not_exist_are_a_doubt(self):
        found = self.said(own(bad="b_total"), {"count(x_total)": [{}]})
        assert found == [
            "warning objectives[0].indicator.bad: no series of b_total exists now; check its labels, or wait for it"
        ]

    def test_a_server_without_native_histograms_is_told_before_its_rules_are(self):
        native = {"kind": "native_latency", "histogram": "t_seconds", "threshold": 0.2}

        def ask(query):
            if "histogram_fraction" in query:
                raise RefusedError("http://vm: refuses it: unsupported function")
            return [{}]

        spec = make_spec({"name": "slow", "target": 0.99, "indicator": native})
        [found] = live_objections(spec, ask)
        assert (found.severity, found.path) == ("error", "objectives[0].indicator")
        assert "use kind latency with a bucket" in found.sentence
        assert live_objections(spec, lambda query: [{}]) == ()

    def test_groups_that_have_no_total_are_refused(self):
        answers = {
            "count(x_total)": [{}],
            "count(b_total)": [{}],
            "count by (tenant) (b_total) unless count by (tenant) (x_total)": [{"tenant": "a"}],
        }
        assert self.said(own(bad="b_total") | {"group_by": ["tenant"]}, answers) == [
            "error objectives[0].indicator.bad: the group tenant=a is counted here and has no total; make both alike"
        ]


SHOWN = """# TYPE x_total counter
x_total{tenant="a"} 5
b_total{tenant="b"} 1
t_seconds_bucket{le="0.25"} 3
t_seconds_bucket{le="+Inf"} 4
t_seconds_count 4
"""


class Target(BaseHTTPRequestHandler):
    """A scraped process."""

    def do_GET(self) -> None:
        body = SHOWN.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.mark.server
def test_a_running_prometheus_is_asked(program, tmp_path):
    target = HTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    scrape = [{"job_name": "a", "static_configs": [{"targets": [f"127.0.0.1:{target.server_port}"]}]}]
    grouped = own(bad="b_total") | {"group_by": ["tenant"]}
    (tmp_path / "slo.yaml").write_text(file_of(grouped, LATENCY))
    try:
        with prometheus(program("prometheus"), tmp_path, scrape) as api:
            eventually(lambda: api.series("t_seconds_count", time.time()))
            command = ["check", "-f", str(tmp_path / "slo.yaml"), "--prometheus", api.url]
            result = CliRunner().invoke(cli, command)
    finally:
        target.shutdown()
        target.server_close()
    assert isinstance(result.exception, SpecError)
    assert result.exception.problems == (
        "objectives[0].indicator.bad: the group tenant=b is counted here and has no total; make both alike",
        "objectives[1].indicator.le: 0.2 is no bound of t_seconds; its buckets are 0.25, +Inf",
    )
