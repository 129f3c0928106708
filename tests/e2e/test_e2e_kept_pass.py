"""A real fault on a real model: the finding's pass is kept, and the page shows the model's own numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from locant.embedded import EmbeddedAgent
from locant.show.command import show_pass
from locant.sidecar.config import AgentConfig
from locant.sidecar.kept.passes import KeptPass, to_bytes
from locant.sidecar.kept.store import open_pass, read_store
from locant_slo.catalogue import metrics
from locant_slo.snapshot import Snapshot

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
PADS, LENGTH = 7, 16


def gpt2():
    """Two layers, two heads; eager, so that it can return its weights."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_layer=2, n_head=2, n_embd=16, n_positions=64, vocab_size=50, bos_token_id=1, eos_token_id=2, pad_token_id=0
    )
    config._attn_implementation = "eager"
    return transformers.GPT2LMHeadModel(config).eval()


def left_padded(seed: int):
    """One row with pads on the left, as a batch is made for generation, and its mask."""
    ids = torch.randint(3, 50, (2, LENGTH), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    ids[1, :PADS], mask[1, :PADS] = 0, 0
    return ids, mask


def served(path: Path, seed: int, rate: float = 1.0) -> tuple[KeptPass, Snapshot]:
    """The pass that is kept when nobody passes position ids for a padded batch."""
    from locant import watch
    from locant.probe.options import ProbeOptions

    agent = EmbeddedAgent(AgentConfig(snapshot_path=path))
    options = ProbeOptions(
        attention_rate=rate, attention_rows=32, attention_layers=(0, 1), overhead_budget=None, rotary_rate=0.0
    )
    handle = watch(gpt2(), name="gpt2", version="r1", agent=agent, options=options, strict=True)
    ids, mask = left_padded(seed)
    handle.declare(request_ids=["secret-customer-7", "secret-customer-8"])
    with torch.no_grad():
        handle.probe.model(input_ids=ids, attention_mask=mask, use_cache=False)
    handle.flush()
    [finding] = [one for one in handle.findings() if one.severity.value == "page"]
    handle.close()
    agent.close()
    with read_store(path) as held:
        kept = open_pass(held, finding.id)
    assert kept is not None
    return kept, agent.snapshot()


def test_fault_finding_kept_pass_and_page_agree_with_the_model(tmp_path: Path) -> None:
    kept, snapshot = served(tmp_path / "kept.db", 1)
    ids, mask = left_padded(1)
    with torch.no_grad():
        weights = gpt2()(input_ids=ids, attention_mask=mask, output_attentions=True, use_cache=False).attentions
    page = tmp_path / "pass.html"
    show_pass(tmp_path / "kept.db", kept.finding.id, page)
    content = page.read_text()

    assert f"row 1: columns {PADS} to {LENGTH - 1}, positions {PADS} to {LENGTH - 1}" in content
    assert f"row 0: columns 0 to {LENGTH - 1}, positions 0 to {LENGTH - 1}" in content
    real = mask.bool()
    for index, matrix in enumerate(weights):
        rows = matrix.permute(0, 2, 1, 3)[real]
        largest = rows.amax(-1).mean(0)
        [table] = re.findall(rf"<h2>Layer {index}: means.*?</table>", content, re.DOTALL)
        lines = [re.findall(r"<td>(.*?)</td>", line) for line in re.findall(r"<tr>(.*?)</tr>", table)][1:]
        shown = torch.tensor([float(line[8]) for line in lines])
        torch.testing.assert_close(shown, largest, rtol=1e-3, atol=1e-5)

    [drawn] = [layer for layer in kept.layers if layer.heat_bins]
    own = weights[drawn.layer][:, drawn.heat_head]
    bins = torch.arange(LENGTH) * drawn.heat_bins // LENGTH
    for query, key, mass in re.findall(r"query bin (\d+), key bin (\d+): ([^<]+)", content):
        rows = (bins == int(query))[None] & real
        wanted = own[rows][:, bins == int(key)].sum() / max(int(rows.sum()), 1)
        assert float(mass) == pytest.approx(float(wanted), rel=1e-3, abs=1e-5)

    exports = next(family for family in snapshot.families if family.metric is metrics.EXPORTS)
    counted = {sample.labels: sample.value for sample in exports.samples}
    assert (counted["snapshots", "ok"], counted["snapshots", "error"]) == (1, 0)


def test_two_prompts_of_one_shape_leave_the_same_bytes_and_no_request_id(tmp_path: Path) -> None:
    def still(kept: KeptPass) -> bytes:
        facts = replace(kept.facts, time=0.0, duration_seconds=0.0)
        return to_bytes(replace(kept, facts=facts, finding=replace(kept.finding, first_seen=0.0, last_seen=0.0)))

    one, other = (served(tmp_path / f"{seed}.db", seed, rate=0.0)[0] for seed in (1, 2))
    assert still(one) == still(other)
    assert b"secret-customer" not in (tmp_path / "1.db").read_bytes()
    assert (tmp_path / "1.db").stat().st_mode & 0o777 == 0o600
