"""From a fault in a real model to a firing alert in a real Alertmanager: exactly the alerts expected, and no other."""

from __future__ import annotations

import threading

import pytest
import torch
import transformers

import locant
from locant.demo.backends import Backends, find_programs
from locant_alerts.alertmanager import build_alertmanager
from locant_alerts.rules import build_rules
from locant_slo import names
from locant_slo.load import parse_spec
from support.real_servers import eventually

pytestmark = [pytest.mark.server, pytest.mark.slow]

SPEC = """
version: locant/v1
service: e2e
scrape_interval: 1s
retention: 2d
objectives:
  - name: position-integrity
    indicator: position_integrity
    target: 0.99
    window: 1h
    alerting:
      minimum_bad_events: 3
      tiers: [{name: fast, severity: page, budget: 0.02, long: 1m, short: 10s, hold: 1s}]
      no_data: {action: ignore}
"""
PAD, VOCABULARY = 0, 64
COMMON = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def llama():
    config = transformers.LlamaConfig(max_position_embeddings=128, **LLAMA, **COMMON)
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(config).eval()


def gpt2():
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=128, **COMMON)
    ).eval()


def left_padded():
    """Three requests of different lengths, padded on the left: ids, mask, positions."""
    ids = torch.full((3, 12), PAD)
    mask = torch.zeros_like(ids)
    for row, length in enumerate((12, 5, 8)):
        ids[row, -length:] = torch.arange(4, 4 + length)
        mask[row, -length:] = 1
    return ids, mask, (mask.cumsum(-1) - 1).clamp_min(0)


def score(model, *, masked=True, positioned=True):
    ids, mask, positions = left_padded()
    given = ({"attention_mask": mask} if masked else {}) | ({"position_ids": positions} if positioned else {})
    model(input_ids=ids, use_cache=False, **given)


def decode(model, *, offset=0):
    ids = torch.arange(4, 12)[None]
    cache = transformers.DynamicCache(config=model.config)
    model(input_ids=ids, past_key_values=cache, position_ids=torch.arange(8)[None])
    for step in range(8, 12):
        token = torch.tensor([[step]])
        model(input_ids=token, past_key_values=cache, position_ids=torch.tensor([[step + offset]]))


SERVED = {
    "healthy-llama": (llama, score, score),
    "healthy-decoder": (llama, decode, decode),
    "mask-lost": (llama, score, lambda model: score(model, masked=False)),
    "not-reset": (gpt2, score, lambda model: score(model, positioned=False)),
    "decode-off-by-one": (llama, decode, lambda model: decode(model, offset=1)),
}
FAULTS = {"mask-lost": "padding_leakage", "not-reset": "batch_mixup", "decode-off-by-one": "streaming_state"}


class Traffic:
    """One thread that serves every model in turn, healthy until `break_them`."""

    def __init__(self, models):
        self.models = models
        self.broken = threading.Event()
        self.stopped = threading.Event()
        self.rounds = 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        torch.set_num_threads(1)
        with torch.inference_mode():
            while not self.stopped.wait(0.05):
                for name, model in self.models.items():
                    SERVED[name][2 if self.broken.is_set() else 1](model)
                self.rounds += 1


@pytest.fixture
def traffic():
    with_models = Traffic({name: build() for name, (build, _, _) in SERVED.items()})
    yield with_models
    with_models.stopped.set()
    if with_models.thread.is_alive():
        with_models.thread.join(30)


@pytest.fixture
def agent():
    running = locant.EmbeddedAgent()
    yield running
    running.close()


def test_injected_faults_fire_exactly_the_expected_alerts_and_healthy_traffic_none(agent, traffic, tmp_path):
    programs = find_programs()
    if isinstance(programs, str):
        pytest.skip(f"NOT PROVEN HERE: {programs}")
    spec = parse_spec(SPEC, "e2e")
    for name, model in traffic.models.items():
        locant.watch(model, name=name, version="1", agent=agent)
    server = agent.serve("127.0.0.1:0")
    rules, routing = {"e2e.rules.yaml": build_rules(spec)}, build_alertmanager([spec])
    with Backends(
        programs, tmp_path, targets=[f"127.0.0.1:{server.port}"], rules=rules, alertmanager=routing
    ) as backends:
        traffic.thread.start()
        eventually(lambda: traffic.rounds > 40, 120)
        assert firing(backends) == set()

        traffic.broken.set()
        expected = {(names.FINDING_ALERT, name, fault) for name, fault in FAULTS.items()} | {
            (names.BURN_ALERT.format(Slo="PositionIntegrity"), name, "") for name in FAULTS
        }
        eventually(lambda: expected <= firing(backends), 120, 0.5)
        eventually(lambda: traffic.rounds > 120, 60)
        assert firing(backends) == expected


def firing(backends):
    return {(a.name, a.labels.get("model", ""), a.labels.get(names.FAULT, "")) for a in backends.alerts()}
