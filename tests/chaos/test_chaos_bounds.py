"""What grows without anybody's fault must not grow here: crowds, restarts, jumping clocks, an endpoint that is down."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace

import pytest

from locant.sidecar.attendance import MOST_MODELS
from locant.sidecar.config import AgentConfig
from locant.sidecar.judge import Judge
from locant.sidecar.service import Agent
from locant.wire.receiver import Limits, Receiver
from locant.wire.sender import Sender
from locant_exporters.otlp import OtlpPusher
from locant_slo.catalogue import metrics
from locant_slo.snapshot import Sample
from support.agent_process import ATTACHED, decode_pass
from support.real_servers import eventually, free_port
from support.sidecar_traffic import Clock, ScriptedJudge, attached, forward, row, value, values

HOUR = 3600.0


@dataclass
class Ticks:
    """Seconds that pass when they are told to."""

    now: float = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "agent.sock")


@pytest.fixture
def receiver(path, ticks):
    receiver = Receiver(path, limits=Limits(connections=4), clock=ticks)
    receiver.open()
    yield receiver
    receiver.close()


def drain(receiver):
    got, idle = [], 0
    while idle < 2:
        idle = 0 if receiver.poll(0.02, got.extend) else idle + 1
    return got


def dial(path):
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.connect(path)
    return peer


def agent_of(**options):
    return Agent(AgentConfig(), options.pop("judge", None) or ScriptedJudge(), **options)


def test_a_silent_crowd_cannot_keep_a_probe_out(receiver, path, ticks):
    crowd = [dial(path) for _ in range(4)]
    drain(receiver)
    sender = Sender(path, clock=ticks, jitter=lambda low, high: high)
    sender.send([ATTACHED])
    assert drain(receiver) == []
    assert receiver.refused["too_many"] == 1
    ticks.now += 6  # nobody of the crowd said anything for longer than a probe ever stays silent
    sender.send([decode_pass(1)])
    sender.send([decode_pass(2)])
    ticks.now += 6
    sender.send([decode_pass(3)])
    assert decode_pass(3) in drain(receiver)
    assert receiver.connections <= 4
    sender.close()
    for peer in crowd:
        peer.close()


def test_a_peer_that_holds_its_connection_and_says_nothing_is_hung_up_on(receiver, path, ticks):
    idle = dial(path)
    drain(receiver)
    assert receiver.connections == 1
    ticks.now += 61
    drain(receiver)
    assert receiver.connections == 0
    assert receiver.refused["silent"] == 1
    idle.close()


def test_an_agent_that_stood_still_does_not_hang_up_on_a_probe_that_spoke_meanwhile(receiver, path, ticks):
    sender = Sender(path, clock=ticks)
    sender.send([ATTACHED])
    drain(receiver)
    ticks.now += 90
    sender.send([decode_pass(1)])
    receiver._tend()  # before anything is read: the tick that the agent was stopped in
    assert drain(receiver) == [decode_pass(1)]
    assert receiver.connections == 1
    sender.close()


def test_a_probe_hung_up_on_comes_back_and_nothing_counts_twice(receiver, path, ticks):
    sender = Sender(path, clock=ticks, jitter=lambda low, high: 0.1)
    sender.send([decode_pass(0), replace(decode_pass(0), request_ids=("x" * 200_000,))])  # the second fits no frame
    sender.send([ATTACHED])
    sender.heartbeat()
    first = drain(receiver)
    counted = receiver.lost.total()
    assert counted == sum(sender.dropped.values()) == 1
    ticks.now += 61
    drain(receiver)
    assert receiver.connections == 0
    sent = [sender.send([decode_pass(n)]) for n in range(3)]
    ticks.now += 1
    sent.append(sender.send([decode_pass(4)]))
    sender.heartbeat()
    again = drain(receiver)
    assert len(again) == sum(sent) + 1
    assert again[0].model_id == first[-1].model_id  # the same model, not one more
    assert receiver.lost.total() == sum(sender.dropped.values())
    sender.close()


def test_a_thousand_restarts_of_a_model_leave_one_release_and_bounded_memory():
    judge = Judge()
    agent = agent_of(judge=judge)
    for model_id in range(1, 3 * MOST_MODELS):
        agent.ingest([attached(model_id), replace(forward(row(4)), model_id=model_id)])
    snapshot = agent.snapshot()
    assert value(snapshot, metrics.SERIES) < 1000
    assert sum(values(snapshot, metrics.OBSERVATIONS).values()) == 2 * (3 * MOST_MODELS - 1)
    assert len(judge._models) <= MOST_MODELS
    assert judge.live_rows <= 4096


def test_a_flood_of_releases_is_refused_and_counted_and_the_first_ones_go_on():
    agent = agent_of()
    agent.ingest([attached(1)])
    agent.ingest([attached(n, version=f"v{n}") for n in range(2, 2000)])
    agent.ingest([forward(row(4))] * 5)
    snapshot = agent.snapshot()
    assert value(snapshot, metrics.SERIES) <= AgentConfig().series_limit
    assert value(snapshot, metrics.OBSERVATIONS_DROPPED, "refused") > 1000
    assert values(snapshot, metrics.OBSERVATIONS)[("tiny", "r1")] == 6


def test_a_model_silent_for_hours_is_forgotten_long_after_its_alert_had_its_time(ticks):
    clock, judge = Clock(), ScriptedJudge()
    agent = agent_of(judge=judge, clock=clock, timer=ticks)
    agent.ingest([attached(1), forward(row(4))])
    for now in (ticks, clock):
        now.now += HOUR
    assert values(agent.snapshot(), metrics.LAST_OBSERVATION)  # the alert's ten minutes are long over
    for now in (ticks, clock):
        now.now += 6 * HOUR
    agent.snapshot()
    assert judge.forgotten == [1]
    assert not values(agent.snapshot(), metrics.LAST_OBSERVATION)  # absent: the alert's other half
    clock.now += 200
    assert not values(agent.snapshot(), metrics.OBSERVATIONS)
    agent.ingest([attached(1), forward(row(4))])
    assert values(agent.snapshot(), metrics.LAST_OBSERVATION)


@pytest.mark.parametrize("jump", [-365 * 24 * HOUR, -HOUR, HOUR, 365 * 24 * HOUR])
def test_a_clock_that_jumps_loses_no_count_and_no_model(jump):
    clock = Clock()
    agent = agent_of(judge=Judge(), clock=clock)
    agent.ingest([attached(1), *(forward(row(4), pass_number=n) for n in range(10))])
    before = values(agent.snapshot(), metrics.OBSERVATIONS)
    clock.now += jump
    after_jump = values(agent.snapshot(), metrics.OBSERVATIONS)
    agent.ingest([forward(row(4), pass_number=n, time=clock.now) for n in range(10, 20)])
    snapshot = agent.snapshot()
    assert after_jump == before
    assert values(snapshot, metrics.OBSERVATIONS)[("tiny", "r1")] == 21
    assert values(snapshot, metrics.LAST_OBSERVATION)[("tiny", "r1")] == clock.now


def test_one_models_wrong_clock_does_not_make_the_ledger_forget_another():
    judge = Judge()
    agent = agent_of(judge=judge, clock=Clock())
    agent.ingest([attached(1), attached(2, version="other"), forward(row(4), cache_id=7)])
    agent.ingest([replace(forward(row(4), cache_id=8), model_id=2, time=time) for time in (1e18, float("inf"))])
    assert judge.live_rows == 2


def test_an_endpoint_that_is_down_for_hours_costs_failures_and_no_memory():
    agent = agent_of()
    agent.ingest([attached(1), forward(row(4))])
    pusher = OtlpPusher(agent.snapshot, f"http://127.0.0.1:{free_port()}/v1/metrics", interval_seconds=0.02)
    pusher.start()
    try:
        eventually(lambda: pusher.outcomes.error >= 120)  # an hour of pushes, two a minute
        agent.note_exports("otlp", pusher.outcomes.ok, pusher.outcomes.error, pusher.outcomes.seconds)
        agent.ingest([forward(row(4))])
    finally:
        pusher.close(0.1)
    failed = values(agent.snapshot(), metrics.EXPORTS)
    assert failed[("otlp", "error")] >= 120
    assert failed[("otlp", "ok")] == 0
    assert values(agent.snapshot(), metrics.OBSERVATIONS)[("tiny", "r1")] == 3
    assert len(pusher._complaints.lines) < 10


def test_snapshots_hold_no_more_samples_after_a_day_of_scrapes():
    agent = agent_of()
    agent.ingest([attached(1), forward(row(4))])

    def size():
        return sum(isinstance(s, Sample) for family in agent.snapshot().families for s in family.samples)

    first = size()
    assert {size() for _ in range(300)} == {first}
