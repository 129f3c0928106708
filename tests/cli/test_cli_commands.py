"""The command line as a user meets it: in a process of its own, with good input and bad."""

from __future__ import annotations

import base64
import json
import os
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import bcrypt
import pytest

import locant
from locant_slo.errors import MachineError
from locant_slo.findings import FailureMode, Finding, Severity
from locant_slo.snapshot import Snapshot

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "slo.yaml"
GOOD = """
version: locant/v1
service: chat
objectives:
  - {name: position-integrity, indicator: position_integrity, target: 0.999}
"""


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "locant.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def says_why(result, *words):
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    return True


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "slo.yaml"
    path.write_text(GOOD)
    return path


def test_the_version_is_the_packages():
    assert run("--version").stdout.split()[-1] == locant.__version__


def test_generate_writes_everything_and_says_how_much(spec, tmp_path):
    result = run("generate", "-f", spec, "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert f"wrote {len(written)} files" in result.stdout
    assert {
        "alertmanager.yaml",
        "rules/chat.rules.yaml",
        "rules/chat.test.yaml",
        "dashboards/chat-oncall.json",
    } <= written


def test_the_same_spec_gives_the_same_bytes(spec, tmp_path):
    for name in ("one", "two"):
        assert run("generate", "-f", spec, "-o", tmp_path / name).returncode == 0
    one, two = (
        {str(p.relative_to(tmp_path / name)): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("one", "two")
    )
    assert one == two


def test_check_writes_nothing(spec, tmp_path):
    result = run("check", "-f", spec, cwd=tmp_path)
    assert result.returncode == 0
    assert "1 objectives" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slo.yaml"]


def test_check_accepts_the_example():
    assert run("check", "-f", EXAMPLE).returncode == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("target: 0.999", "target: 1.2"), ("objectives[0].target", "1.2", "not between 0 and 1")),
        (
            ("position_integrity, t", "position_integrty, t"),
            ("objectives[0].indicator", "position_integrty", "position_integrity"),
        ),
        (("service: chat", "sevice: chat"), ("sevice",)),
        (("version: locant/v1", "version: locant/v9"), ("locant/v9",)),
        (("objectives:", "objectives: ["), ("YAML",)),
    ],
)
def test_a_wrong_spec_is_a_sentence_with_path_value_and_cure_and_nothing_is_written(change, words, spec, tmp_path):
    spec.write_text(GOOD.replace(*change))
    for command in (["generate", "-f", spec, "-o", tmp_path / "out"], ["check", "-f", spec]):
        assert says_why(run(*command), "slo.yaml", *words)
    assert not (tmp_path / "out").exists()


def test_a_missing_spec_is_a_sentence(tmp_path):
    assert says_why(run("generate", "-f", tmp_path / "none.yaml"), "none.yaml")


def test_an_output_folder_that_cannot_be_written_is_a_sentence(spec, tmp_path):
    (tmp_path / "out").write_text("a file stands here")
    assert says_why(run("generate", "-f", spec, "-o", tmp_path / "out"), "out")
    assert (tmp_path / "out").read_text() == "a file stands here"


@pytest.mark.parametrize("command", ["canary", "fingerprint"])
def test_a_folder_without_a_model_is_a_sentence(command, tmp_path):
    assert says_why(run(command, tmp_path), str(tmp_path), "config.json")


@pytest.mark.parametrize("command", ["canary", "fingerprint"])
def test_a_broken_checkpoint_is_a_sentence(command, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    (tmp_path / "model.safetensors").write_bytes(b"rubbish")
    assert says_why(run(command, tmp_path, env=os.environ | {"HF_HUB_OFFLINE": "1"}), str(tmp_path), "cannot be loaded")


def test_what_is_no_module_cannot_be_watched():
    with pytest.raises(locant.LocantError, match=r"not a torch\.nn\.Module"):
        locant.watch("gpt2")


def test_a_port_in_use_is_a_sentence():
    first, second = locant.EmbeddedAgent(), locant.EmbeddedAgent()
    server = first.serve("127.0.0.1:0")
    with pytest.raises(MachineError, match=str(server.port)):
        second.serve(f"127.0.0.1:{server.port}")
    first.close()
    second.close()


def test_backtest_scores_every_tier(spec, tmp_path):
    history = tmp_path / "history.csv"
    rows = [f"{60 * n},100,{50 if 600 <= n < 660 else 0},{int(600 <= n < 660)}" for n in range(2_000)]
    history.write_text("time,events,bad,incident\n" + "\n".join(rows) + "\n")
    result = run("backtest", "-f", spec, "--slo", "position-integrity", "--csv", history)
    assert result.returncode == 0, result.stderr
    fast = next(line for line in result.stdout.splitlines() if line.startswith("| fast"))
    assert "100%" in fast


def test_backtest_of_an_unknown_objective_names_the_known_ones(spec, tmp_path):
    assert says_why(run("backtest", "-f", spec, "--slo", "x", "--csv", tmp_path / "h.csv"), "position-integrity")


def finding(severity):
    return Finding(
        FailureMode.BATCH_MIXUP,
        severity,
        "absolute_base",
        "Row 1 starts +7 off.",
        {"shift": 7},
        "chat",
        "v1",
        1e9,
        2e9,
        3,
    )


@pytest.mark.parametrize(("severity", "status"), [(Severity.PAGE, 1), (Severity.INFO, 0)])
def test_findings_shows_what_a_running_agent_found(severity, status):
    from locant_exporters.http import serve

    server = serve(lambda: Snapshot(2e9, 1e9, (), (finding(severity),)), address="127.0.0.1:0")
    result = run("findings", f"http://127.0.0.1:{server.port}")
    assert result.returncode == status
    assert "F2 batch_mixup" in result.stdout
    assert "shift=7" in result.stdout
    as_json = run("findings", "--json", f"http://127.0.0.1:{server.port}")
    assert json.loads(as_json.stdout)["findings"][0]["count"] == 3
    server.close()


def test_findings_of_an_agent_with_users_want_one_and_take_one():
    from locant_exporters.http import serve
    from locant_exporters.web_config import WebConfig

    users = WebConfig.model_validate({"basic_auth_users": {"me": bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()}})
    server = serve(lambda: Snapshot(2e9, 1e9, (), ()), address="127.0.0.1:0", web_config=users)
    url = f"http://127.0.0.1:{server.port}"
    assert says_why(run("findings", url), "401 Unauthorized; name a user")
    credentials = base64.b64encode(b"me:secret").decode()
    result = run("findings", url, "--header", f"Authorization: Basic {credentials}")
    assert (result.returncode, result.stdout) == (0, "no findings\n")
    server.close()


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n{", b""])
def test_findings_of_somebody_else_is_a_sentence(said):
    def answer(connection, _):
        connection.recv(4096)
        connection.sendall(said)
        connection.close()

    with socketserver.TCPServer(("127.0.0.1", 0), lambda request, client, server: answer(request, client)) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert says_why(run("findings", url), url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ftp://x", "http://127.0.0.1:port"])
def test_findings_of_nobody_is_a_sentence(url):
    assert says_why(run("findings", url), url)


def test_check_says_what_is_wrong_with_an_agents_configuration(tmp_path):
    config = tmp_path / "locant.yaml"
    config.write_text("series_limit: 500\n")
    assert "holds" in run("check", "-f", EXAMPLE, "--config.file", config).stdout
    config.write_text("series_limit: lots\nnonsense: 1\n")
    says_why(run("check", "-f", EXAMPLE, "--config.file", config), "series_limit", "nonsense")
