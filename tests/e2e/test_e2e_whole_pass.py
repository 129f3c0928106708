"""A fault, a finding, a request, a whole pass, kept and shown: in one process, and through a real socket."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from e2e.test_e2e_kept_pass import PADS, gpt2, left_padded
from locant.embedded import EmbeddedAgent
from locant.observation import ABSENT
from locant.remote import RemoteAgent
from locant.sidecar.config import AgentConfig
from locant.sidecar.kept.passes import KeptPass
from locant.sidecar.kept.store import open_pass, read_store
from locant_slo.catalogue import metrics
from support.agent_process import started
from support.real_servers import eventually

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


def watched(agent: Any, **options: Any) -> Any:
    """A GPT-2 whose caller passes no position ids for its padded batches."""
    from locant import watch
    from locant.probe.options import ProbeOptions

    options = {"overhead_budget": 0.5, **options}  # a pass of two layers takes less than a look at it
    return watch(gpt2(), name="gpt2", version="r1", agent=agent, options=ProbeOptions(**options), strict=True)


def serve(handle: Any, passes: int = 1, seed: int = 1) -> None:
    """Passes of the fault."""
    ids, mask = left_padded(seed)
    with torch.no_grad():
        for _ in range(passes):
            handle.declare(request_ids=["secret-customer-7", "secret-customer-8"])
            handle.probe.model(input_ids=ids, attention_mask=mask, use_cache=False)
    handle.flush()


def newest(path: Path) -> tuple[str, KeptPass] | None:
    """The newest kept pass of the page-worthy finding, by the finding's id."""
    if not path.exists():
        return None
    with read_store(path) as held:
        found = [entry.finding for entry in held.entries() if entry.severity == "page"]
        kept = open_pass(held, found[0]) if found else None
    return (found[0], kept) if kept is not None else None


def assert_whole(kept: KeptPass) -> None:
    """Every layer with every head, a map of each, all rows' positions, what the masks do."""
    assert kept.facts.whole
    assert [layer.layer for layer in kept.layers] == [0, 1]
    assert all(len(layer.entropy) == 2 and layer.rows == 32 - PADS for layer in kept.layers)
    assert all(layer.heat_bins == 16 and layer.visibility and layer.mask for layer in kept.layers)
    assert [sum(value >= 0 for value in row) for row in kept.facts.positions] == [16, 16 - PADS]


def test_in_one_process_the_next_pass_is_looked_at_whole_and_its_numbers_are_the_models(tmp_path: Path) -> None:
    agent = EmbeddedAgent(AgentConfig(snapshot_path=tmp_path / "kept.db"))
    handle = watched(agent, attention_rate=0.01)
    serve(handle, 4)
    eventually(lambda: serve(handle) or handle.probe.wishes.counts["looked"] == 1)
    handle.close()
    agent.close()
    found = newest(tmp_path / "kept.db")
    assert found is not None
    kept = found[1]
    assert_whole(kept)
    assert b"secret-customer" not in (tmp_path / "kept.db").read_bytes()
    assert {row.first_token_hash for row in kept.facts.rows} == {ABSENT}
    ids, mask = left_padded(1)
    with torch.no_grad():
        weights = gpt2()(input_ids=ids, attention_mask=mask, output_attentions=True, use_cache=False).attentions
    for layer, matrix in zip(kept.layers, weights, strict=True):
        largest = matrix.permute(0, 2, 1, 3)[mask.bool()].amax(-1).sum(0)
        torch.testing.assert_close(torch.tensor(layer.largest_weight), largest, rtol=1e-4, atol=1e-4)
        own = matrix[:, layer.heat_head][mask.bool()].sum(0)
        torch.testing.assert_close(torch.tensor(layer.heat).view(16, 16).sum(0), own, rtol=1e-3, atol=1e-4)


def test_without_a_store_nobody_asks() -> None:
    agent = EmbeddedAgent()
    handle = watched(agent)
    serve(handle, 8)
    handle.close()
    assert handle.probe.wishes.counts.total() == 0
    agent.close()


@pytest.mark.server
def test_through_a_socket_the_agent_asks_the_probe_looks_and_the_command_shows_it(tmp_path: Path) -> None:
    store = tmp_path / "kept.db"
    process = started(tmp_path, f"--snapshot.path={store}")
    remote = RemoteAgent(process.socket)
    handle = watched(remote)

    def has_whole() -> bool:
        serve(handle)
        found = newest(store)
        return found is not None and found[1].facts.whole

    eventually(has_whole)
    found = newest(store)
    assert found is not None
    assert_whole(found[1])
    handle.close()
    remote.close()
    counted = eventually(lambda: process.value(metrics.PROBE_REQUESTS, outcome="looked", model="gpt2"))
    assert counted == 1
    for output in ("pass.html", "pass.png", "pass.safetensors"):
        show = [sys.executable, "-m", "locant.cli", "findings", "show", found[0], "-o", str(tmp_path / output)]
        done = subprocess.run(
            [*show, f"--snapshot.path={store}"], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / output).stat().st_size > 1000
    process.kill()


@pytest.mark.server
def test_an_agent_that_dies_before_the_pass_comes_costs_the_model_nothing_and_its_successor_keeps_one(
    tmp_path: Path,
) -> None:
    store = tmp_path / "kept.db"
    process = started(tmp_path, f"--snapshot.path={store}")
    remote = RemoteAgent(process.socket)
    handle = watched(remote)
    process.send_signal(signal.SIGSTOP)
    serve(handle, 3)
    process.kill()
    bare = gpt2()(input_ids=left_padded(1)[0]).logits
    again = started(tmp_path, f"--snapshot.path={store}")
    eventually(lambda: serve(handle) or newest(store))
    assert torch.equal(bare, handle.probe.model(input_ids=left_padded(1)[0]).logits)
    assert handle.probe.guard.errors.total() == 0
    handle.close()
    remote.close()
    again.kill()
