"""Triton's Python backend, on the real server: what docs/integrations.md shows, through a real agent."""

from __future__ import annotations

import json
import re
import textwrap

import numpy as np
import pytest

from locant_slo.catalogue import metrics
from support.agent_process import started
from support.documents import blocks
from support.real_servers import eventually
from support.triton import MissingError, triton

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(600)]

WATCHED, EMBEDDED = blocks("integrations.md", "Triton's Python backend")
WATCH_LINE = re.compile(r"^ +self\.watch = .*\n", re.MULTILINE)
CONFIG = """
backend: "python"
max_batch_size: 0
input [
  {name: "input_ids" data_type: TYPE_INT64 dims: [-1, -1]},
  {name: "attention_mask" data_type: TYPE_INT64 dims: [-1, -1]},
  {name: "position_ids" data_type: TYPE_INT64 dims: [-1, -1] optional: true}
]
output [{name: "logits" data_type: TYPE_FP32 dims: [-1, -1, -1]}]
instance_group [{kind: KIND_CPU}]
"""
IDS = np.array([[5, 6, 7, 8, 9, 10, 11, 12], [0, 0, 0, 0, 0, 5, 6, 7]])
"""Two rows, the second padded on the left."""
MASK = (IDS != 0).astype(np.int64)
POSITIONS = np.maximum(MASK.cumsum(1) - 1, 0)
HEALTHY = {"input_ids": IDS, "attention_mask": MASK, "position_ids": POSITIONS}
FAULTY = {"input_ids": IDS, "attention_mask": MASK}


def on_tritons_page():
    return WATCH_LINE.sub(textwrap.indent(EMBEDDED, " " * 8), WATCHED)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    torch.manual_seed(0)
    shape = {"vocab_size": 64, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2}
    config = transformers.GPT2Config(**shape, bos_token_id=1, eos_token_id=1)
    model = transformers.GPT2LMHeadModel(config)
    for name, code in {"watched": WATCHED, "shown": on_tritons_page()}.items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "1" / "model.py").write_text(code)
        (folder / name / "config.pbtxt").write_text(CONFIG)
        model.save_pretrained(folder / name / "weights")
    return folder


@pytest.fixture(scope="module")
def agent_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("agent")


@pytest.fixture
def agent(agent_folder):
    process = started(agent_folder)
    yield process
    process.kill()


@pytest.fixture(scope="module")
def server(repository, agent_folder, tmp_path_factory):
    environment = {"LOCANT_SOCKET": str(agent_folder / "agent.sock"), "OMP_NUM_THREADS": "1"}
    try:
        with triton(tmp_path_factory.mktemp("triton"), repository, environment) as running:
            yield running
    except MissingError as error:
        pytest.skip(f"NOT PROVEN HERE: {error}")


@pytest.fixture(scope="module")
def bare(repository):
    """The same weights outside Triton, with nobody watching."""
    model = transformers.GPT2LMHeadModel.from_pretrained(repository / "watched" / "weights").eval()

    def logits(**arrays):
        with torch.no_grad():
            return model(**{name: torch.from_numpy(array) for name, array in arrays.items()}).logits.flatten().tolist()

    return logits


def findings(agent):
    return {finding["check"]: finding for finding in json.loads(agent.get("/api/v1/findings"))["findings"]}


def passes(agent):
    return agent.value(metrics.FORWARD_PASSES, phase="prefill", outcome="ok", model="watched", model_version="1") or 0.0


def test_healthy_traffic_is_counted_and_silent_and_a_padding_fault_pages(server, agent):
    eventually(lambda: server.infer("watched", **HEALTHY) and passes(agent) >= 3)
    assert findings(agent) == {}
    server.infer("watched", **FAULTY)
    found = eventually(lambda: findings(agent).get("absolute_base"))
    assert (found["severity"], found["model"], found["model_version"]) == ("page", "watched", "1")
    assert "left padding" in found["message"]


@pytest.mark.parametrize("tensors", [HEALTHY, FAULTY])
def test_what_triton_answers_is_the_models_answer_to_the_last_bit(server, bare, tensors):
    assert server.infer("watched", **tensors) == server.infer("shown", **tensors) == bare(**tensors)


def test_a_dead_agent_does_not_disturb_triton_and_a_new_one_is_found(server, agent_folder, bare):
    agent = started(agent_folder)
    eventually(lambda: server.infer("watched", **HEALTHY) and passes(agent) >= 1)
    expected = bare(**HEALTHY)
    agent.kill()
    for _ in range(20):
        assert server.infer("watched", **HEALTHY) == expected
    agent = started(agent_folder)
    try:
        eventually(lambda: server.infer("watched", **HEALTHY) and passes(agent) >= 1)
    finally:
        agent.kill()


def test_without_a_sidecar_the_numbers_are_on_tritons_own_page(server):
    server.infer("shown", **FAULTY)
    findings, judged = metrics.FINDINGS.prometheus_name, f"{metrics.PROBE_DURATION.prometheus_name}_bucket"
    fault = re.compile(rf'^{findings}\{{.*check="absolute_base".*model="shown".*\}} [1-9]', re.MULTILINE)
    bucket = re.compile(rf'^{judged}\{{le="\+Inf",stage="judge"\}} [1-9]', re.MULTILINE)
    eventually(lambda: fault.search(server.metrics()) and bucket.search(server.metrics()))
    assert f"# TYPE {findings} counter" in server.metrics()
    assert "nv_inference_count" in server.metrics()
