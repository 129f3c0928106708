"""`generate` writes every file or none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from alert_support import make_spec
from click.testing import CliRunner

from locant.cli import cli
from locant.generate import compile_all, write_all
from locant_alerts.runbooks import runbooks
from locant_slo import names
from locant_slo.errors import ConfigError, LocantError, MachineError
from locant_slo.load import load_specs

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "slo.yaml"


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


class TestCompile:
    def test_makes_rules_their_tests_routing_boards_and_runbooks(self):
        files = compile_all([make_spec()])
        boards = {f"dashboards/chat-{board}.json" for board in ("debug", "executive", "oncall")}
        rules = {"rules/chat.rules.yaml", "rules/chat.test.yaml", "kubernetes/chat-rules-1.yaml"}
        gates = ("argo", "flagger-canary-analysis", "flagger-integrity")
        rollouts = {f"rollouts/chat-{name}.yaml" for name in gates}
        pages = {f"runbooks/{name}" for name in (*runbooks(), "chat-integrity.md")}
        assert set(files) == {"alertmanager.yaml"} | boards | rules | rollouts | pages

    def test_is_the_same_each_time(self):
        assert compile_all(load_specs(EXAMPLE)) == compile_all(load_specs(EXAMPLE))

    def test_alerts_link_to_boards_that_are_generated(self):
        boards = {
            json.loads(text)["uid"] for path, text in compile_all([make_spec()]).items() if path.endswith(".json")
        }
        assert {names.dashboard_uid(board, "chat") for board in ("oncall", "debug")} <= boards


class TestWrite:
    def test_writes_and_overwrites(self, tmp_path):
        write_all({"a.txt": "old", "b/c.txt": "old"}, tmp_path / "out")
        write_all({"a.txt": "new\n", "b/c.txt": "new\n"}, tmp_path / "out")
        assert tree(tmp_path / "out") == {"a.txt": "new\n", "b/c.txt": "new\n"}

    def test_leaves_other_files_alone(self, tmp_path):
        (tmp_path / "mine.txt").write_text("mine")
        write_all({"a.txt": "a"}, tmp_path)
        assert tree(tmp_path) == {"a.txt": "a", "mine.txt": "mine"}

    def test_keeps_everything_when_one_file_cannot_take_its_place(self, tmp_path):
        write_all({"a.txt": "old", "b.txt": "old"}, tmp_path)
        (tmp_path / "z.txt").mkdir()
        with pytest.raises(MachineError, match=r"z\.txt: cannot be written \(a folder stands where a file belongs\)"):
            write_all({"a.txt": "new", "b.txt": "new", "c.txt": "new", "z.txt": "new"}, tmp_path)
        assert tree(tmp_path) == {"a.txt": "old", "b.txt": "old"}
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt", "z.txt"]

    def test_keeps_everything_when_interrupted(self, tmp_path, monkeypatch):
        write_all({"a.txt": "old", "b.txt": "old"}, tmp_path)
        replace = Path.replace

        def interrupted(self: Path, target: Path) -> Path:
            if self.name == "b.txt" and "new" in self.parts[-2:]:
                raise KeyboardInterrupt
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_all({"a.txt": "new", "b.txt": "new"}, tmp_path)
        assert tree(tmp_path) == {"a.txt": "old", "b.txt": "old"}

    def test_leaves_no_folder_behind_when_it_fails(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(MachineError, match="choose another folder"):
            write_all({"a.txt": "a"}, tmp_path / "file")
        with pytest.raises(MachineError):
            write_all({"a": "a", "a/b": "b"}, tmp_path / "deep" / "out")
        assert tree(tmp_path) == {"file": "in the way"}
        assert not (tmp_path / "deep").exists()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
    def test_says_where_it_may_not_write(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(MachineError, match="Permission denied"):
            write_all({"a.txt": "a"}, tmp_path / "out")

    @pytest.mark.parametrize("path", ["../a.txt", "/tmp/a.txt", "b/../../a.txt"])
    def test_refuses_to_leave_the_folder(self, tmp_path, path):
        with pytest.raises(ConfigError, match="must stay below"):
            write_all({path: "a"}, tmp_path / "out")
        assert not (tmp_path / "out").exists()


class TestCommandLine:
    def test_check_writes_nothing(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = CliRunner().invoke(cli, ["check", "-f", str(EXAMPLE)])
        assert result.exit_code == 0
        assert "13 objectives" in result.output
        assert not list(tmp_path.iterdir())

    def test_generate_writes_nothing_of_a_bad_spec(self, tmp_path):
        bad = tmp_path / "slo.yaml"
        bad.write_text(EXAMPLE.read_text().replace("target: 0.999", "target: 99.9"))
        result = CliRunner().invoke(cli, ["generate", "-f", str(bad), "-o", str(tmp_path / "out")])
        assert isinstance(result.exception, LocantError)
        assert not (tmp_path / "out").exists()


def test_what_an_earlier_run_left_is_named_and_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "version: locant/v1\nservice: {}\nobjectives: [{{name: a, indicator: length_drift, target: 0.99}}]\n"
    for service in ("chat", "search"):
        Path("slo.yaml").write_text(text.format(service))
        found = CliRunner().invoke(cli, ["generate"], catch_exceptions=False)
        Path("out/rules/own.rules.yaml").write_text("groups: []\n")
    notes = [line for line in found.stderr.splitlines() if line.startswith("note: ")]
    assert {line.split(": ")[1] for line in notes} >= {"out/rules/chat.rules.yaml", "out/kubernetes/chat-rules-1.yaml"}
    assert not any("own" in line or "search" in line for line in notes)
    assert Path("out/rules/chat.rules.yaml").exists()


def test_warnings_say_which_of_several_services_they_are_about(tmp_path):
    text = "version: locant/v1\nservice: {0}\nselector: {{job: {0}}}\n"
    text += "objectives: [{{name: a, indicator: length_drift, target: 0.99}}]\n"
    (tmp_path / "slo.yaml").write_text("---\n".join(text.format(service) for service in ("chat", "search")))
    found = CliRunner().invoke(cli, ["check", "-f", str(tmp_path / "slo.yaml")], catch_exceptions=False)
    assert [line.split(": ")[2] for line in found.stderr.splitlines()] == ["chat", "search"]
