"""For every finding that pages or opens a ticket the next pass that shows it is kept, with attention where it comes."""

from __future__ import annotations

from dataclasses import replace

from locant.observation import Detached, ProbeHealth
from locant.sidecar.kept.keeper import (
    AGAIN_SECONDS,
    ASK_SECONDS,
    PATIENCE_PASSES,
    PATIENCE_SECONDS,
    WHOLE_SECONDS,
    Keeper,
)
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


class Asking(Run):
    """A keeper whose probe listens, or does not."""

    def __init__(self, answer: bool = True) -> None:
        super().__init__()
        self.asked: list[tuple[int, str]] = []
        self.keeper = Keeper(self.kept.append, self.ask)
        self.keeper.see(ATTACHED, ())
        self.answer = answer

    def ask(self, model_id: int, phase: str) -> bool:
        """Take note of a request."""
        self.asked.append((model_id, phase))
        return self.answer

    def whole(self, number: int, *, bad: bool = True, time: float | None = None) -> None:
        """A pass that was looked at whole, and the one after it."""
        self.keeper.see(replace(forward(number, time=time), whole=True), [FINDING] if bad else [])
        for index in range(5):
            self.keeper.see(layer(number, index), ())
        self.passes(number + 1, bad=False, time=time)

    @property
    def whole_numbers(self) -> list[int]:
        """Of what was kept, the whole passes."""
        return [one.facts.pass_number for one in self.kept if one.facts.whole]


def test_a_whole_pass_is_asked_for_once_and_kept_beside_the_first_one() -> None:
    run = Asking()
    run.passes(1, 2, layers=2)
    run.passes(3, bad=False)
    assert run.asked == [(1, "prefill")]
    run.whole(4)
    assert (run.numbers, run.whole_numbers) == ([1, 4], [4])
    assert len(run.kept[1].layers) == 5
    run.passes(*range(6, 30), layers=1)
    run.whole(30)
    assert (len(run.asked), run.numbers) == (1, [1, 4])


def test_a_whole_pass_that_does_not_show_the_finding_is_not_kept_for_it_and_another_is_asked_for() -> None:
    run = Asking()
    run.passes(1, layers=1)
    run.whole(2, bad=False)
    assert run.numbers == [1]
    run.passes(4, time=START + ASK_SECONDS / 2)
    assert len(run.asked) == 1
    run.passes(5, time=START + ASK_SECONDS + 5)
    run.passes(6, bad=False, time=START + ASK_SECONDS + 6)
    assert len(run.asked) == 2
    run.whole(7, time=START + ASK_SECONDS + 7)
    assert run.whole_numbers == [7]


def test_a_probe_that_does_not_listen_is_asked_once_and_not_waited_for() -> None:
    run = Asking(answer=False)
    run.passes(*range(1, 6), layers=1)
    run.whole(6)
    assert len(run.asked) == 1
    assert run.numbers == [1]


def test_a_whole_pass_is_waited_for_ten_minutes_and_no_longer() -> None:
    run = Asking()
    for minute in range(12):
        run.passes(minute, layers=1, time=START + 61.0 * minute)
    run.whole(20, time=START + WHOLE_SECONDS + 100)
    assert run.whole_numbers == []
    assert len(run.asked) <= 1 + WHOLE_SECONDS / ASK_SECONDS


def test_a_whole_pass_that_comes_first_is_all_that_is_kept() -> None:
    run = Asking()
    run.whole(1)
    run.passes(*range(3, 9), layers=1)
    assert (run.numbers, run.asked) == ([1], [])


def test_many_findings_of_a_model_are_one_request_a_minute_and_one_whole_pass_shows_them_all() -> None:
    run = Asking()
    many = [other(f"check_{number}") for number in range(40)]
    for number in range(1, 4):
        run.keeper.see(forward(number), many)
        run.keeper.see(layer(number), ())
    run.keeper.see(replace(forward(4), whole=True), many)
    run.keeper.see(layer(4), ())
    run.passes(5, bad=False)
    assert len(run.asked) == 1
    assert len(run.whole_numbers) == 40


def test_a_finding_about_the_model_asks_for_a_pass_that_begins_a_sequence() -> None:
    run = Asking()
    run.keeper.see(ATTACHED, [other("wrong_frequencies")])
    run.keeper.see(replace(forward(1), phase="decode"), ())
    run.passes(2, bad=False)
    assert run.asked == [(1, "prefill")]
    odd = Asking()
    odd.keeper.see(replace(forward(1), phase="a word of the peer's own"), [FINDING])
    odd.passes(2, bad=False)
    assert odd.asked == []
