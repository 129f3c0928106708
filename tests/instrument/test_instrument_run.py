"""`locant run`: a real script with a real model reports to a real agent without knowing it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest

from locant.run import SHIM, become, environment
from locant_slo.catalogue import metrics
from locant_slo.errors import MachineError
from support.agent_process import started
from support.real_servers import eventually, free_port

pytest.importorskip("torch")
pytest.importorskip("transformers")

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
BUILD = """
import torch, transformers
torch.set_num_threads(1)
config = transformers.LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2,
    num_attention_heads=2)
"""
SERVE = (
    BUILD
    + """
import sys
torch.manual_seed(0)
transformers.LlamaForCausalLM(config).save_pretrained(sys.argv[1])
loaded = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()
built = transformers.LlamaForCausalLM(config).eval()
for model in (loaded, built):
    out = model.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=5, do_sample=False, pad_token_id=0)
    print(out.tolist(), flush=True)
"""
)


def locant_run(*command, flags=(), **options):
    line = [sys.executable, "-m", "locant.cli", "run", *flags, "--", *map(str, command)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, **options)


def passes(agent):
    return sum(agent.values(metrics.FORWARD_PASSES, outcome="ok", model_version="r7"))


@pytest.fixture
def agent(tmp_path):
    process = started(tmp_path)
    yield process
    process.kill()


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "serve.py"
    path.write_text(SERVE)
    return path


@pytest.mark.server
def test_models_loaded_and_built_are_watched_and_answer_the_same(agent, script, tmp_path):
    plain = subprocess.run([sys.executable, script, tmp_path / "m"], capture_output=True, text=True, timeout=120)
    flags = (f"--socket.path={agent.socket}", "--model.version=r7")
    watched = locant_run(sys.executable, script, tmp_path / "m", flags=flags)
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout == plain.stdout != ""
    # generate runs five passes; the built model comes under watch in the middle of its first
    eventually(lambda: passes(agent) in (9, 10))


SPAWN = (
    BUILD
    + """
import multiprocessing
def work():
    model = transformers.LlamaForCausalLM(config).eval()
    for _ in range(4):
        model(torch.tensor([[1, 2, 3]]))
if __name__ == "__main__":
    work()
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start()
    child.join()
    raise SystemExit(child.exitcode)
"""
)


@pytest.mark.server
def test_a_spawned_worker_is_watched_too(agent, tmp_path):
    script = tmp_path / "workers.py"
    script.write_text(SPAWN)
    run = locant_run(sys.executable, script, flags=(f"--socket.path={agent.socket}", "--model.version=r7"))
    assert run.returncode == 0, run.stderr
    eventually(lambda: passes(agent) >= 6)  # each process misses its model's first pass


@pytest.mark.server
def test_without_a_socket_the_program_serves_its_own_metrics(script, tmp_path):
    port = free_port()
    script.write_text(
        SERVE
        + f"""
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:{port}/metrics").read().decode())
"""
    )
    run = locant_run(sys.executable, script, tmp_path / "m", flags=(f"--web.listen-address=127.0.0.1:{port}",))
    assert run.returncode == 0, run.stderr
    assert metrics.FORWARD_PASSES.prometheus_name in run.stdout


@pytest.mark.server
@pytest.mark.parametrize(
    ("users", "says"),
    [(f"{{me: {HASH}}}", "401"), ("{me: plain}", "cannot be scraped")],
    ids=["protected", "unreadable"],  # a hash is another one in every worker of the suite
)
def test_metrics_that_the_owner_protects_are_protected_or_not_served(users, says, script, tmp_path, monkeypatch):
    (tmp_path / "web.yaml").write_text(f"basic_auth_users: {users}\n")
    monkeypatch.setenv("LOCANT_WEB_CONFIG_FILE", str(tmp_path / "web.yaml"))
    port = free_port()
    script.write_text(
        SERVE
        + f"""
import urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:{port}/metrics").status)
except OSError as error:
    print(error)
"""
    )
    run = locant_run(sys.executable, script, tmp_path / "m", flags=(f"--web.listen-address=127.0.0.1:{port}",))
    assert run.returncode == 0, run.stderr
    assert says in run.stdout + run.stderr
    assert "200" not in run.stdout


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_the_exit_status_is_the_programs(status):
    assert locant_run(sys.executable, "-c", f"raise SystemExit({status})").returncode == status


def test_signals_reach_the_program_itself():
    line = [sys.executable, "-m", "locant.cli", "run", "--", sys.executable, "-c"]
    program = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))
print(os.getpid(), flush=True)
signal.pause()
"""
    process = subprocess.Popen([*line, program], stdout=subprocess.PIPE, text=True)
    assert int(process.stdout.readline()) == process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 42
    process.stdout.close()


def test_a_program_that_never_imports_transformers_runs_nothing_of_ours():
    program = "import sys; print([name for name in sys.modules if name.startswith('locant')])"
    assert locant_run(sys.executable, "-c", program).stdout.strip() == "[]"


def test_transformers_is_the_real_one_with_its_submodules():
    program = (
        "import transformers.models.llama, transformers as t, sys; from importlib.util import find_spec;"
        "print(t.__version__, 'shim' in t.__file__, 'shim' in find_spec('transformers').origin,"
        "'shim' in sys.modules['transformers'].__spec__.origin)"
    )
    run = locant_run(sys.executable, "-c", program)
    assert run.stdout.split()[1:] == ["False", "False", "False"], run.stderr


def test_a_python_without_locant_goes_on_unwatched(tmp_path):
    """The shim alone, in front of a stand-in for transformers, in an interpreter that finds nothing else."""
    (tmp_path / "transformers.py").write_text("answer = 42")
    program = "import transformers; print(transformers.answer)"
    path = f"{SHIM}{os.pathsep}{tmp_path}"
    run = subprocess.run(
        [sys._base_executable, "-S", "-c", program],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stdout.strip() == "42", run.stderr
    assert "goes unwatched" in run.stderr


def test_without_transformers_the_error_is_pythons_own(tmp_path):
    run = subprocess.run(
        [sys._base_executable, "-S", "-c", "import transformers"],
        env={"PYTHONPATH": str(SHIM)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "ModuleNotFoundError: No module named 'transformers'" in run.stderr


def test_the_environment_keeps_what_was_there():
    told = environment({"PYTHONPATH": "/a:/b", "X": "y"}, socket="/run/s", version="r1")
    assert told["PYTHONPATH"].split(os.pathsep) == [str(SHIM), "/a", "/b"]
    assert environment(told)["PYTHONPATH"] == told["PYTHONPATH"]
    assert (told["LOCANT_SOCKET"], told["LOCANT_MODEL_VERSION"], told["X"]) == ("/run/s", "r1", "y")


def test_a_program_that_is_not_there_is_one_sentence():
    with pytest.raises(MachineError, match="name a program on PATH"):
        become(["/no/such/program"], dict(os.environ))
    run = locant_run("no-such-program")
    assert run.returncode == 2
    assert "Traceback" not in run.stderr


def test_the_shim_is_a_folder_of_the_package():
    assert (SHIM / "transformers" / "__init__.py").is_file()
    assert Path(SHIM).parent.name == "locant"
