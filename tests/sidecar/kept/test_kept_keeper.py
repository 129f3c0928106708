"""For every finding that pages or opens a ticket the next pass that shows it is kept, with attention where it comes."""

from __future__ import annotations

from locant.observation import Detached, ProbeHealth
from locant.sidecar.kept.keeper import AGAIN_SECONDS, PATIENCE_PASSES, PATIENCE_SECONDS, Keeper
from locant.sidecar.kept.passes import KeptPass
from locant_slo.findings import Severity
from support.kept_passes import ATTACHED, FINDING, forward, layer, other
from support.sidecar_traffic import START


class Run:
    """A keeper of one model, and what it handed over."""

    def __init__(self) -> None:
        self.kept: list[KeptPass] = []
        self.keeper = Keeper(self.kept.append)
        self.keeper.see(ATTACHED, ())

    def passes(self, *numbers: int, bad: bool = True, layers: int = 0, time: float | None = None) -> None:
        """Passes of the model, each with some layers looked at."""
        for number in numbers:
            self.keeper.see(forward(number, time=time), [FINDING] if bad else [])
            for index in range(layers):
                self.keeper.see(layer(number, index), ())

    @property
    def numbers(self) -> list[int]:
        """Pass numbers of what was kept."""
        return [one.facts.pass_number for one in self.kept]


def test_a_pass_that_shows_the_finding_and_was_looked_at_is_kept_whole() -> None:
    run = Run()
    run.passes(1, bad=False, layers=3)
    run.passes(2, layers=3)
    run.passes(3, bad=False)
    assert run.numbers == [2]
    assert [one.layer for one in run.kept[0].layers] == [0, 1, 2]
    assert run.kept[0].finding == FINDING


def test_one_without_attention_waits_for_one_with_it() -> None:
    run = Run()
    run.passes(1, 2)
    run.passes(3, bad=False, layers=2)
    assert run.numbers == []
    run.passes(4, layers=2)
    run.passes(5)
    assert run.numbers == [4]


def test_when_none_comes_the_first_one_is_kept_after_so_many_passes_or_so_long() -> None:
    run = Run()
    run.passes(*range(1, PATIENCE_PASSES + 2))
    assert run.numbers == [1]
    rare = Run()
    rare.passes(1)
    rare.passes(2, bad=False, time=START + 1 + PATIENCE_SECONDS)
    rare.passes(3, bad=False, time=START + 2 + PATIENCE_SECONDS)
    assert rare.numbers == [1]


def test_a_finding_that_goes_on_is_kept_once_an_hour() -> None:
    run = Run()
    run.passes(1, 2, 3, layers=1)
    run.passes(4, layers=1, time=START + AGAIN_SECONDS + 10)
    run.passes(5, bad=False, time=START + AGAIN_SECONDS + 11)
    assert run.numbers == [1, 4]


def test_a_finding_about_the_model_is_shown_by_its_next_pass() -> None:
    run = Run()
    run.keeper.see(ATTACHED, [other("wrong_frequencies")])
    run.passes(1, bad=False)
    run.passes(2, bad=False, layers=2)
    run.passes(3, bad=False)
    assert run.numbers == [2]
    assert run.kept[0].finding.check == "wrong_frequencies"


def test_a_finding_that_only_attention_shows_belongs_to_its_pass() -> None:
    run = Run()
    run.keeper.see(forward(1), ())
    run.keeper.see(layer(1), [other("padding_mass")])
    run.keeper.see(layer(1, 1), ())
    run.keeper.see(ProbeHealth(1, START), ())
    assert run.numbers == [1]
    assert len(run.kept[0].layers) == 2


def test_what_waits_is_kept_when_the_watch_is_closed_and_forgotten_when_the_model_falls_silent() -> None:
    run, silent = Run(), Run()
    run.passes(1)
    run.keeper.see(Detached(1, START), ())
    assert run.numbers == [1]
    silent.passes(1)
    silent.keeper.forget(1)
    silent.passes(2, 3, layers=1)
    assert silent.numbers == []


def test_information_is_not_kept() -> None:
    run = Run()
    run.keeper.see(forward(1), [other("length_drift", Severity.INFO)])
    run.passes(2, bad=False, layers=1)
    run.keeper.see(Detached(1, START), ())
    assert run.numbers == []
