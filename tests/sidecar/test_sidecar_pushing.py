"""Snapshots pushed from an embedded agent: on time, counted, and a failing exporter costs itself alone."""

from __future__ import annotations

import pytest

import locant
from locant.pushing import Push
from locant_slo.catalogue import metrics
from locant_slo.errors import ConfigError
from support.real_servers import eventually
from support.sidecar_traffic import values


def test_it_exports_at_once_and_then_at_its_interval():
    now, seen = [100.0], []
    push = Push(lambda: "snapshot", seen.append, 15.0, lambda: now[0])
    for moment in (100.0, 101.0, 114.9, 115.0, 116.0):
        now[0] = moment
        push()
    assert seen == ["snapshot", "snapshot"]
    assert (push.outcomes.ok, push.outcomes.error) == (2, 0)


def test_a_failing_exporter_is_counted_logged_once_and_tried_again(caplog):
    now, fail = [0.0], [True]

    def export(snapshot):
        if fail[0]:
            raise OSError("the receiver is gone")

    push = Push(lambda: "snapshot", export, 1.0, lambda: now[0])
    for moment in range(3):
        now[0] = float(moment)
        push()
    assert len(caplog.records) == 1
    fail[0], now[0] = False, 3.0
    push()
    assert (push.outcomes.ok, push.outcomes.error) == (1, 3)


def test_an_embedded_agent_pushes_by_itself_and_says_so():
    torch = pytest.importorskip("torch")
    agent, seen = locant.EmbeddedAgent(), []
    with pytest.raises(ConfigError, match="exporter 'tritno' is not known; choose one of"):
        agent.push("tritno", seen.append)
    locant.watch(torch.nn.TransformerEncoderLayer(8, 2), name="tiny", version="r1", agent=agent)
    agent.push("triton", seen.append, interval_seconds=0.01)
    try:
        eventually(lambda: values(agent.snapshot(), metrics.EXPORTS)["triton", "ok"] >= 2)
    finally:
        agent.close()
    assert len(seen) >= 2
