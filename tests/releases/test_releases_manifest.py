"""The manifest of a release: the same model gives the same one, and what changed is said with its harm."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import transformers
from click.testing import CliRunner

import locant
from locant.cli import cli
from locant.manifest import TablePrint, compare, read_manifest, write_manifest
from locant.probe.fingerprint import fingerprint
from locant_slo.errors import ConfigError


def llama(**changes):
    settings = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2} | changes
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=64, pad_token_id=0, **settings))
    with torch.no_grad():  # sharper than at birth, so that positions matter to the answers
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(12)
    return model.eval()


def theta(value):
    return {"rope_parameters": {"rope_type": "default", "rope_theta": value}}


@pytest.fixture
def pinned(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(write_manifest(fingerprint(llama(**theta(10_000.0)))))
    return path


def changes(pinned, model):
    return compare(read_manifest(pinned), fingerprint(model))


def test_the_same_release_has_not_changed(pinned):
    assert changes(pinned, llama(**theta(10_000.0))) == ()


def test_another_theta_is_harmful_in_parameters_and_in_the_golden_answers(pinned):
    found = changes(pinned, llama(**theta(20_000.0)))
    assert {change.what.split()[0] for change in found if change.harmful} == {"rotary", "canary"}


def test_a_shorter_context_is_told(pinned):
    found = changes(pinned, llama(max_position_embeddings=128, **theta(10_000.0)))
    assert "trained_tokens: 2048 became 128" in [change.sentence for change in found]


def test_a_cast_of_the_frequencies_is_harmful(pinned):
    assert any(change.harmful for change in changes(pinned, llama(**theta(10_000.0)).to(torch.bfloat16)))


@pytest.mark.parametrize(
    "build",
    [
        lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2)),
        lambda: transformers.BertModel(
            transformers.BertConfig(
                vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
            )
        ),
        lambda: transformers.T5ForConditionalGeneration(
            transformers.T5Config(vocab_size=64, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2)
        ),
        lambda: torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1),
    ],
)
def test_every_family_has_a_manifest_that_survives_the_disk(build, tmp_path):
    manifest = fingerprint(build().eval())
    path = tmp_path / "manifest.json"
    path.write_text(write_manifest(manifest))
    assert read_manifest(path) == manifest


def test_a_watch_with_a_manifest_opens_a_ticket_for_a_harmful_change(pinned):
    with locant.watch(llama(**theta(20_000.0)), manifest=pinned) as watch:
        watch.flush()
        [finding] = [f for f in watch.findings() if f.check == "release_changed"]
    assert (finding.severity.value, finding.failure_mode.value) == ("ticket", "F8")
    assert "phases off by" in finding.message


def test_a_watch_of_the_same_release_finds_nothing(pinned):
    with locant.watch(llama(**theta(10_000.0)), manifest=pinned) as watch:
        watch.flush()
        assert watch.findings() == []


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "is no manifest"), ("[]", "is no manifest"), (None, "cannot be read")],
)
def test_a_manifest_that_is_none_is_one_sentence(text, says, tmp_path):
    path = tmp_path / "manifest.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        locant.watch(llama(), manifest=path)


def test_a_manifest_of_another_schema_is_refused(pinned):
    content = json.loads(pinned.read_text())
    pinned.write_text(json.dumps(content | {"schema": "locant-manifest/9"}))
    with pytest.raises(ConfigError, match="locant-manifest/9"):
        read_manifest(pinned)


def test_the_command_line_prints_the_manifest(tmp_path):
    llama().save_pretrained(tmp_path / "model")
    result = CliRunner().invoke(cli, ["fingerprint", str(tmp_path / "model"), "--static"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["profile"]["scheme"] == "rope"


@pytest.mark.parametrize(
    ("rope_theta", "status", "says"), [(10_000.0, 0, "nothing positional"), (20_000.0, 1, "harmful")]
)
def test_the_gate_compares_manifests(rope_theta, status, says, pinned, tmp_path):
    candidate = tmp_path / "candidate.json"
    candidate.write_text(write_manifest(fingerprint(llama(**theta(rope_theta)))))
    result = CliRunner().invoke(cli, ["gate", str(pinned), str(candidate)])
    assert result.exit_code == status
    assert says in result.output


def test_the_gate_does_not_compare_a_manifest_with_anything_else(pinned, tmp_path):
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(ConfigError, match="is no manifest"):
        CliRunner().invoke(cli, ["gate", str(pinned), str(other)], catch_exceptions=False)


def test_a_position_table_that_came_or_went_is_harmful(pinned):
    without = read_manifest(pinned)
    table = TablePrint("model.wpe", 2048, 32, "float32", "0" * 16)
    came, went = (
        compare(without, replace(without, tables=(table,))),
        compare(replace(without, tables=(table,)), without),
    )
    assert [change.sentence for change in came] == ["table model.wpe: absent became 2048 rows"]
    assert [change.sentence for change in went] == ["table model.wpe: 2048 rows became gone"]
    assert all(change.harmful for change in (*came, *went))


def test_phases_that_are_no_numbers_are_harmful(pinned):
    reference = read_manifest(pinned)
    rotary = reference.rotaries[0]
    broken = replace(rotary, phases=(float("nan"), *rotary.phases[1:]))
    [change] = compare(reference, replace(reference, rotaries=(broken, *reference.rotaries[1:])))
    assert change.harmful


def test_golden_rows_that_do_not_fit_together_are_refused_when_they_are_read(pinned):
    content = json.loads(pinned.read_text())
    content["golden"][0]["tokens"].pop()
    pinned.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="as many log-probabilities as tokens"):
        read_manifest(pinned)


def test_a_watch_that_cannot_begin_leaves_no_hook_behind(pinned, monkeypatch):
    def broken(*_):
        raise RuntimeError("cannot be compared")

    monkeypatch.setattr("locant.releases.report_changes", broken)
    model = llama()
    with pytest.raises(RuntimeError, match="cannot be compared"):
        locant.watch(model, manifest=pinned)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
