"""`locant pin`: what a sidecar saved becomes a reference, or a sentence says what is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from locant.cli import main
from locant.sidecar.config import AgentConfig
from locant.sidecar.references import LayerEntropy, PassTime, References
from locant.sidecar.saved import SavedCosts
from locant.sidecar.service import Agent
from locant.sidecar.state_file import save_state
from locant_slo.findings import Severity
from support.sidecar_traffic import (
    MODEL,
    START,
    VERSION,
    Clock,
    ScriptedJudge,
    StubVerdict,
    attached,
    attention,
    canary,
    each,
    finding,
    forward,
    row,
)

DAY = 86_400.0


def served(*, sequences=1000, version=VERSION, layers=(250, 10), answers=(True, False), days=8.0, judge=None):
    """The state of an agent that watched one release for some days."""
    clock = Clock()
    judge = judge or ScriptedJudge()
    judge.priced = {(MODEL, version): SavedCosts("a machine", (("prefill", 1, 27, -1, 0.01),), 512.0)}
    agent = Agent(AgentConfig(), judge, clock=clock)
    agent.ingest(
        each(
            [attached(version=version)],
            [forward(row(100))] * sequences,
            [attention(layer, rows=rows) for layer, rows in enumerate(layers)],
            [canary(f"case{n}", right, loss_nats=(("begin", 2.0, 4),)) for n, right in enumerate(answers)],
            [canary("last", True, last_of_run=True)] if answers else [],
        )
    )
    clock.now += days * DAY
    return agent.saved()


def together(*states):
    return replace(states[0], releases=tuple(release for state in states for release in state.releases))


@pytest.fixture
def pin(tmp_path, monkeypatch, capsys):
    """Runs the command in a folder of its own, on the state there: its exit status, output and complaints."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, state=None):
        if state is not None:
            save_state(tmp_path / "state", state)
        with pytest.raises(SystemExit) as ended:
            main(["pin", "--state.path=state", *arguments])
        return ended.value.code, *capsys.readouterr()

    return run


def refused(result, *words):
    status, out, err = result
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    return True


def test_what_was_measured_is_pinned_with_its_release_its_times_and_its_sizes(pin):
    status, out, _ = pin("reference.json", state=served())
    assert status == 0
    one = References.load("reference.json").models[MODEL]
    assert (one.model_version, one.lengths.sum_tokens, sum(one.lengths.counts)) == (VERSION, 100_000, 1000)
    assert (one.counted_since.timestamp(), one.pinned_at.timestamp()) == (START, START + 8 * DAY)
    assert one.canary == {"case0": True, "case1": False, "last": True}
    assert one.costs.passes == (PassTime(phase="prefill", rows=1, tokens_step=27, cache_step=-1, seconds=0.01),)
    assert one.entropy == {0: LayerEntropy(totals=(250.0,) * 4, rows=250)}  # the other layer has too few rows
    assert out.splitlines() == [
        "pinned tiny r1, as it was at 2025-12-02 16:00 UTC",
        "  lengths: 1000 sequences since 2025-11-24 16:00 UTC",
        "  canary: 2 of 3 answers right",
        "  loss: 1 position buckets",
        "  entropy: 1 layers, 250 rows or more",
        "  costs: 1 kinds of pass, on a machine",
        "  costs: caches grow by 512 bytes per token",
    ]


def test_the_agents_own_pin_of_the_same_release_is_the_same(pin, tmp_path):
    clock = Clock()
    agent = Agent(AgentConfig(entropy_minimum_rows=2), ScriptedJudge(), clock=clock)
    agent.ingest([attached(), *[forward(row(100))] * 1000, attention(0, rows=9), canary("a", True, last_of_run=True)])
    agent.pin_reference(tmp_path / "own.json")
    (tmp_path / "locant.yaml").write_text("entropy_minimum_rows: 2\n")
    assert pin("reference.json", "--config.file=locant.yaml", state=agent.saved())[0] == 0
    assert References.load("reference.json") == References.load(tmp_path / "own.json")


def test_a_dash_prints_the_reference_alone_and_the_report_goes_to_standard_error(pin, tmp_path):
    status, out, err = pin("-", state=served())
    assert status == 0
    assert References.model_validate_json(out).models[MODEL].model_version == VERSION
    assert err.startswith("pinned tiny r1")
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


def test_too_few_sequences_are_refused_with_how_many_it_takes(pin, tmp_path):
    state = served(sequences=412)
    assert refused(
        pin("reference.json", state=state), "412 of 1000 sequences (drift_minimum_sequences)", "--part=canary"
    )
    assert not (tmp_path / "reference.json").exists()
    (tmp_path / "locant.yaml").write_text("drift_minimum_sequences: 412\n")
    assert pin("reference.json", "--config.file=locant.yaml")[0] == 0


def test_a_part_is_pinned_alone_where_it_is_asked_for(pin):
    status, out, _ = pin("reference.json", "--part=canary", "--part=loss", state=served(sequences=0))
    assert status == 0
    assert "not pinned: lengths: 0 of 1000 sequences" in out
    one = References.load("reference.json").models[MODEL]
    assert (one.lengths, one.entropy) == (None, {})
    assert (one.canary["case0"], one.loss["begin"].count) == (True, 8)


def test_a_part_that_is_asked_for_and_lacks_evidence_is_refused(pin):
    state = served(layers=(10,), answers=())
    assert refused(pin("reference.json", "--part=canary", state=state), "canary: no canary run was finished")
    assert refused(pin("reference.json", "--part=entropy"), "at most 10 of 200 rows in any layer")


def test_of_several_releases_one_must_be_named(pin):
    state = together(served(version="r1"), served(version="r2", sequences=2000))
    assert refused(
        pin("reference.json", state=state), "--model=tiny --model.version=r1; --model=tiny --model.version=r2"
    )
    assert refused(pin("reference.json", "--model.version=r3"), "no such release", "--model.version=r1")
    assert pin("reference.json", "--model.version=r2")[0] == 0
    assert sum(References.load("reference.json").models[MODEL].lengths.counts) == 2000


def test_an_existing_reference_is_replaced_by_force_alone_and_other_models_stay(pin, tmp_path):
    assert pin("reference.json", state=served())[0] == 0
    other = References.load("reference.json")
    References(models={**other.models, "other": other.models[MODEL]}).save("reference.json")
    before = (tmp_path / "reference.json").read_bytes()
    state = served(version="r2")
    assert refused(pin("reference.json", state=state), "holds tiny r1 already", "--force")
    assert (tmp_path / "reference.json").read_bytes() == before
    assert pin("reference.json", "--force")[0] == 0
    models = References.load("reference.json").models
    assert {name: one.model_version for name, one in models.items()} == {"tiny": "r2", "other": "r1"}


@pytest.mark.parametrize("content", ["", "{", '{"format": "locant.canary/1", "cases": {}}', "\x00\xff"])
def test_a_damaged_or_foreign_reference_is_not_written_over_even_by_force(pin, tmp_path, content):
    (tmp_path / "reference.json").write_text(content, encoding="latin-1")
    assert refused(pin("reference.json", "--force", state=served()), "reference.json: is no reference", "locant pin")
    assert (tmp_path / "reference.json").read_text(encoding="latin-1") == content


def test_a_release_with_findings_that_page_is_not_what_good_looks_like(pin):
    judge = ScriptedJudge(lambda seen: StubVerdict(findings=(finding("mask_dropped", Severity.PAGE),)))
    state = served(judge=judge)
    assert refused(pin("reference.json", state=state), "findings that page (mask_dropped)", "--despite-findings")
    assert pin("reference.json", "--despite-findings")[0] == 0


def test_tickets_and_findings_of_other_releases_do_not_stand_in_the_way(pin):
    ticket = ScriptedJudge(lambda seen: StubVerdict(findings=(finding(severity=Severity.TICKET),)))
    paged = ScriptedJudge(lambda seen: StubVerdict(findings=(finding(),)))
    other = served(version="r0", judge=paged)
    state = replace(served(judge=ticket), findings=(*served(judge=ticket).findings, *other.findings))
    assert pin("reference.json", state=state)[0] == 0


def test_lengths_of_less_than_a_week_say_so(pin):
    assert "lengths of less than a week" in pin("reference.json", state=served(days=6.9))[1]


def test_no_state_a_damaged_one_and_none_of_ours_are_sentences_and_stay_where_they_are(pin, tmp_path):
    assert refused(pin("reference.json"), "state: there is no state; run the agent with --state.path")
    assert refused(pin("reference.json", state=replace(served(), releases=())), "no model was under watch yet")
    save_state(tmp_path / "state", served())
    damaged = (tmp_path / "state").read_bytes().replace(b"case0", b"case9")
    for content in (damaged, damaged[:99], b"", b"PNG"):
        (tmp_path / "state").write_bytes(content)
        assert refused(pin("reference.json"), "state: is ", "--state.path")
        assert [one.name for one in tmp_path.iterdir()] == ["state"]
        assert (tmp_path / "state").read_bytes() == content


def test_a_folder_that_is_not_there_is_a_sentence(pin):
    assert refused(pin("nowhere/reference.json", state=served()), "nowhere/reference.json", "cannot be written")


def test_a_name_that_a_terminal_would_obey_is_shown_escaped(pin):
    status, out, _ = pin("reference.json", state=served(version="r1\x1b]0;mine\x07"))
    assert (status, "\x1b" in out, "r1\\x1b]0;mine" in out) == (0, False, True)


def test_a_state_of_an_older_agent_is_pinned_without_the_time_that_it_does_not_know(pin):
    state = served()
    old = replace(state, releases=(replace(state.releases[0], since=None),))
    status, out, _ = pin("reference.json", state=old)
    assert status == 0
    assert References.load("reference.json").models[MODEL].counted_since is None
    assert "lengths: 1000 sequences\n" in out


def test_the_gate_says_what_a_reference_is_for(pin, capsys):
    assert pin("reference.json", state=served())[0] == 0
    with pytest.raises(SystemExit) as ended:
        main(["gate", "reference.json", "reference.json"])
    assert refused((ended.value.code, *capsys.readouterr()), "is a reference of `locant pin`", "locant canary --save")
