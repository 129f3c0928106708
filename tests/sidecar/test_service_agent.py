"""The agent owns the state, survives what it is sent, and pins what it measured."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from locant import __version__
from locant.observation import Detached, ForwardFacts, Observation
from locant.sidecar.checks import KNOWN_CHECKS
from locant.sidecar.config import AgentConfig
from locant.sidecar.judge import Judge
from locant.sidecar.references import Reference, References
from locant.sidecar.service import Agent
from locant_slo.catalogue import metrics
from locant_slo.errors import ConfigError, MachineError
from locant_slo.findings import Severity
from locant_slo.snapshot import Snapshot
from support.sidecar_traffic import (
    MODEL,
    OWN,
    PROFILE,
    START,
    VERSION,
    Clock,
    ScriptedJudge,
    StubVerdict,
    attached,
    attention,
    canary,
    finding,
    forward,
    histogram,
    row,
    samples,
    value,
    values,
)


def agent_of(script=lambda observation: None, *, clock: Clock | None = None, **options: object) -> Agent:
    config = options.pop("config", AgentConfig())
    return Agent(config, ScriptedJudge(script), clock=clock or Clock(), **options)  # type: ignore[arg-type]


def dropped(snapshot: Snapshot, reason: str) -> float:
    return value(snapshot, metrics.OBSERVATIONS_DROPPED, reason)


def test_an_agent_that_saw_nothing_already_shows_itself() -> None:
    snapshot = agent_of().snapshot()
    assert values(snapshot, metrics.BUILD_INFO) == {(__version__,): 1}
    assert value(snapshot, metrics.QUEUE_DEPTH) == 0
    assert all(count == 0 for count in values(snapshot, metrics.EXPORTS).values())
    assert snapshot.findings == ()


def test_an_observation_that_cannot_be_processed_is_counted_logged_once_and_not_fatal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(observation: Observation) -> StubVerdict | None:
        if isinstance(observation, ForwardFacts) and observation.pass_number < 5:
            raise RuntimeError("a check fell over")
        return None

    clock = Clock()
    agent = agent_of(broken, clock=clock)
    with caplog.at_level(logging.WARNING, logger="locant.agent"):
        agent.ingest([attached(), *(forward(row(5), pass_number=number) for number in range(10))])
        assert len(caplog.records) == 1
        clock.now += 61
        agent.ingest([forward(row(5), pass_number=0)])
    assert len(caplog.records) == 2
    snapshot = agent.snapshot()
    assert dropped(snapshot, "decode_error") == 6
    assert value(snapshot, metrics.SLI_EVENTS, "position_integrity", *OWN) == 5


def test_observations_of_a_model_that_never_attached_are_dropped_as_invalid() -> None:
    agent = agent_of()
    one, gone = forward(row(5)), Detached(1, START)
    agent.ingest([one, attached(), one, gone, one, gone])
    snapshot = agent.snapshot()
    assert dropped(snapshot, "invalid") == 2
    assert value(snapshot, metrics.SEQUENCES, "prefill", *OWN) == 1


def test_findings_are_signed_merged_and_worst_first() -> None:
    found = StubVerdict((finding("info", Severity.INFO), finding("page"), finding("page", count=2)))
    agent = agent_of(lambda observation: found if isinstance(observation, ForwardFacts) else None)
    agent.ingest([attached(), forward(row(5), time=START + 7)])
    page, info = agent.findings()
    assert (page.check, page.count, info.check) == ("page", 3, "info")
    assert (page.model, page.model_version, page.first_seen, page.last_seen) == (*OWN, START + 7, START + 7)
    assert agent.snapshot().findings == (page, info)


def test_series_outlive_a_watch_for_one_last_scrape_and_then_go() -> None:
    clock = Clock()
    agent = agent_of(clock=clock, config=AgentConfig(detach_grace_seconds=60))
    agent.ingest([attached(), forward(row(5)), Detached(1, START)])
    last = agent.snapshot()
    assert value(last, metrics.SEQUENCES, "prefill", *OWN) == 1
    assert not samples(last, metrics.LAST_OBSERVATION)
    assert not samples(last, metrics.WATCH_COVERAGE)
    clock.now += 60
    gone = agent.snapshot()
    assert not any(OWN[0] in labels for family in gone.families for labels in (s.labels for s in family.samples))


def test_a_release_that_comes_back_within_the_grace_time_goes_on_counting() -> None:
    clock = Clock()
    agent = agent_of(clock=clock)
    agent.ingest([attached(), forward(row(5)), Detached(1, START), attached(2), forward(row(5), model_id=2)])
    clock.now += 1e5
    assert value(agent.snapshot(), metrics.SEQUENCES, "prefill", *OWN) == 2


def test_a_release_stays_while_one_of_its_probes_does() -> None:
    clock = Clock()
    agent = agent_of(clock=clock)
    agent.ingest([attached(1), attached(2), forward(row(5)), Detached(1, START)])
    clock.now += 1e5
    agent.ingest([forward(row(5), model_id=2)])
    assert value(agent.snapshot(), metrics.SEQUENCES, "prefill", *OWN) == 2


def test_a_release_that_leaves_takes_only_its_own_signs_of_life_along() -> None:
    agent = agent_of()
    agent.ingest([attached(1), attached(2, version="r2"), forward(row(5)), forward(row(5), model_id=2)])
    assert set(values(agent.snapshot(), metrics.LAST_OBSERVATION)) == {OWN, (MODEL, "r2")}
    agent.ingest([Detached(1, START), Detached(99, START)])
    left = agent.snapshot()
    assert set(values(left, metrics.LAST_OBSERVATION)) == {(MODEL, "r2")}
    assert {labels[-1] for labels in values(left, metrics.WATCH_COVERAGE)} == {"r2"}
    assert dropped(left, "decode_error") == 0  # nor is the goodbye of somebody unknown an error


def test_findings_stay_readable_after_the_watch_closed() -> None:
    agent = agent_of(lambda observation: StubVerdict((finding(),)), config=AgentConfig(detach_grace_seconds=0))
    agent.ingest([attached(), Detached(1, START)])
    agent.snapshot()
    assert [one.check for one in agent.findings()] == ["offset_ledger"]


def test_attaching_again_updates_what_is_known_and_keeps_what_was_counted() -> None:
    agent = agent_of(objectives={"position_integrity": 0.999})
    agent.ingest([attached(), forward(row(5)), attached(profile=replace(PROFILE, config_hash="changed"))])
    snapshot = agent.snapshot()
    assert values(snapshot, metrics.MODEL_INFO) == {(*OWN, "llama", "rope", "1024", "changed"): 1}
    assert value(snapshot, metrics.SEQUENCES, "prefill", *OWN) == 1
    assert values(snapshot, metrics.OBJECTIVE_RATIO) == {("position_integrity", *OWN): 0.999}


def test_a_probe_that_attaches_another_release_leaves_the_old_one() -> None:
    clock = Clock()
    agent = agent_of(clock=clock)
    agent.ingest([attached(), attached(version="r2"), forward(row(5))])
    clock.now += 1e5
    assert set(values(agent.snapshot(), metrics.MODEL_INFO)) == {(MODEL, "r2", "llama", "rope", "1024", "c0ffee")}


def test_the_channels_losses_are_counted_once() -> None:
    agent = agent_of()
    for lost in (3, 3, 5):
        agent.note_channel(7, {"queue_full": lost})
    snapshot = agent.snapshot()
    assert dropped(snapshot, "queue_full") == 5
    assert value(snapshot, metrics.QUEUE_DEPTH) == 7


def test_exports_are_counted_by_outcome() -> None:
    agent = agent_of()
    for failed in (0, 1, 1):
        agent.note_exports("otlp", 1, failed, 0.5)
    exports = values(agent.snapshot(), metrics.EXPORTS)
    assert values(agent.snapshot(), metrics.EXPORT_DURATION)[("otlp",)] == 0.5
    assert (exports["otlp", "ok"], exports["otlp", "error"], exports["prometheus", "ok"]) == (1, 1, 0)


def test_the_agent_measures_itself_with_the_timer_that_it_was_given() -> None:
    ticks = iter(range(1000))
    agent = agent_of(timer=lambda: next(ticks) / 100)
    agent.ingest([attached(), forward(row(5))])
    judged = histogram(agent.snapshot(), metrics.PROBE_DURATION, "judge")
    assert (judged.count, judged.sum) == (2, pytest.approx(0.02))


def test_the_cap_on_series_holds_for_the_whole_agent() -> None:
    agent = agent_of(config=AgentConfig(series_limit=500))
    agent.ingest([attached(), *(attention(layer) for layer in range(200))])
    snapshot = agent.snapshot()
    assert value(snapshot, metrics.SERIES) <= 500
    assert value(snapshot, metrics.SERIES_REFUSED) > 0
    assert dropped(snapshot, "series_limit") > 0


def test_readers_may_ask_while_the_owner_counts() -> None:
    agent = agent_of()
    agent.ingest([attached()])
    seen: list[float] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(value(agent.snapshot(), metrics.SEQUENCES, "prefill", *OWN))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        agent.ingest([forward(row(5), row(6))] * 10)
    done.set()
    reader.join(timeout=10)
    assert seen == sorted(seen)
    assert all(count % 2 == 0 for count in seen)
    assert value(agent.snapshot(), metrics.SEQUENCES, "prefill", *OWN) == 400


def test_a_new_configuration_holds_from_now_on_and_keeps_what_was_counted() -> None:
    heat = attention(heat_head=0, heat_bins=1, heat=(1.0,), heat_rows=(1,))
    agent = agent_of(config=AgentConfig(latency_target_seconds=1.0, debug_metrics=True))
    agent.ingest([attached(), forward(row(1), duration_seconds=0.5), heat])
    assert samples(agent.snapshot(), metrics.HEAD_HEAT)
    pinned = References(models={MODEL: Reference(model_version="r0", canary={"a": True})})
    agent.reconfigure(AgentConfig(latency_target_seconds=0.1, series_limit=100, finding_capacity=1), pinned)
    agent.ingest([forward(row(1), duration_seconds=0.5), canary("a", False)])
    snapshot = agent.snapshot()
    labels = ("latency_per_token", *OWN)
    assert (value(snapshot, metrics.SLI_EVENTS, *labels), value(snapshot, metrics.SLI_BAD_EVENTS, *labels)) == (2, 1)
    assert value(snapshot, metrics.SLI_BAD_EVENTS, "positional_regression", *OWN) == 1
    assert value(snapshot, metrics.SERIES_REFUSED) > 0
    assert not samples(snapshot, metrics.HEAD_HEAT)


def test_every_verdict_that_the_judge_can_give_has_a_counter_at_zero() -> None:
    agent = Agent(AgentConfig(), Judge(), clock=Clock())
    agent.ingest([attached()])
    zeros = values(agent.snapshot(), metrics.FINDINGS)
    assert zeros == {(mode.value, severity.value, check, *OWN): 0 for mode, severity, check in KNOWN_CHECKS}


def test_the_real_judge_finds_a_left_padded_batch_without_positions_and_the_indicator_falls() -> None:
    agent = Agent(AgentConfig(), Judge(), clock=Clock())
    learned = replace(PROFILE, family="gpt2", scheme="learned", absolute=True, table_rows=1024)
    shifted = row(60, left_pads=40, first_position=40, last_position=99, min_position=40, max_position=99)
    padded = forward(row(100), shifted._replace(first_offset=40, last_offset=40), masked=True, mask_rank=2)
    agent.ingest([attached(profile=learned), padded])
    snapshot = agent.snapshot()
    assert [(one.failure_mode.value, one.check) for one in snapshot.findings] == [("F2", "absolute_base")]
    labels = ("position_integrity", *OWN)
    assert (value(snapshot, metrics.SLI_EVENTS, *labels), value(snapshot, metrics.SLI_BAD_EVENTS, *labels)) == (2, 1)


# --- pinning


def served(agent: Agent, version: str = VERSION) -> None:
    agent.ingest([attached(version=version), forward(row(100), row(200)), attention(rows=50)])
    agent.ingest([canary("a", True, loss_nats=(("begin", 2.0, 4),)), canary("b", False, last_of_run=True)])


def test_a_pinned_reference_holds_what_was_measured_and_is_compared_with_at_once(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    agent = agent_of()
    served(agent)
    agent.pin_reference(path)
    pinned = References.load(path).models[MODEL]
    assert pinned.model_version == VERSION
    assert pinned.lengths is not None
    assert (sum(pinned.lengths.counts), pinned.lengths.sum_tokens) == (2, 300)
    assert pinned.canary == {"a": True, "b": False}
    assert (pinned.loss["begin"].total, pinned.loss["begin"].count) == (2.0, 4)
    assert (pinned.entropy[0].totals, pinned.entropy[0].rows) == ((50.0,) * 4, 50)
    assert histogram(agent.snapshot(), metrics.REFERENCE_LENGTH, *OWN).count == 2
    assert [one.name for one in tmp_path.iterdir()] == ["reference.json"]


def test_the_next_release_is_compared_with_the_pinned_one(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    first = agent_of()
    served(first)
    first.pin_reference(path)
    second = agent_of(references=References.load(path))
    second.ingest([attached(version="r2"), canary("a", False)])
    own = ("positional_regression", MODEL, "r2")
    assert value(second.snapshot(), metrics.SLI_BAD_EVENTS, *own) == 1
    assert (VERSION, MODEL, "r2") in values(second.snapshot(), metrics.REGRESSION_LOG_EVIDENCE)


def test_pinning_keeps_other_models_and_what_the_same_release_measured_before(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    first = agent_of()
    served(first)
    first.pin_reference(path)
    old = References.load(path)
    old = References(models={**old.models, "other": old.models[MODEL]})
    second = agent_of(references=old)
    second.ingest([attached(), canary("c", True)])
    second.pin_reference(path)
    models = References.load(path).models
    assert set(models) == {MODEL, "other"}
    assert models[MODEL].canary == {"c": True}
    assert models[MODEL].lengths == old.models[MODEL].lengths


def test_nothing_measured_pins_nothing(tmp_path: Path) -> None:
    known = References(models={MODEL: Reference(model_version="r0", canary={"a": True})})
    agent = agent_of(references=known)
    agent.ingest([attached()])
    with pytest.raises(ConfigError, match="nothing was measured yet"):
        agent.pin_reference(tmp_path / "reference.json")
    assert not list(tmp_path.iterdir())


def test_a_reference_that_cannot_be_written_is_a_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    agent = agent_of()
    served(agent)
    with pytest.raises(MachineError, match="cannot be written"):
        agent.pin_reference(tmp_path / "missing" / "reference.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MachineError, match="cannot be written"):
        agent.pin_reference(tmp_path / "folder")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
