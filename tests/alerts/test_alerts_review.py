"""The weekly review adds up, says what it does not know, and reads the same from a Prometheus and from a file."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from alert_support import make_spec
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from locant.cli import cli
from locant.reviewing import Period
from locant_alerts.document import render_html, render_markdown
from locant_alerts.history import History
from locant_alerts.replay import Traffic
from locant_alerts.review.account import Account, by_budget, together, window_seconds
from locant_alerts.review.events import Fired, Found, Released
from locant_alerts.review.report import Review, review_document
from locant_slo.errors import LocantError
from support.blocks import Counter, import_counters
from support.real_servers import prometheus

DAY = 86_400
END = 1_763_942_400.0
SPEC = "version: locant/v1\nservice: chat\nretention: 40d\nobjectives:\n"
INTEGRITY = "  - {name: integrity, indicator: position_integrity, target: 0.99, window: 14d}\n"
PADDING = "  - {name: padding, indicator: padding_attention, target: 0.99, window: 14d}\n"


def objective():
    return make_spec({"name": "integrity", "indicator": "position_integrity", "target": 0.99, "window": "14d"})


def history(events=(100,) * 336, bad=(), **fields) -> History:
    """Fourteen days in hours; `bad` maps an hour to its bad events."""
    counts = tuple(dict(bad).get(hour, 0) for hour in range(len(events)))
    return History(Traffic(3_600, tuple(events), counts), END - 3_600 * len(events), **fields)


class TestAccount:
    def account(self, *args, **fields) -> Account:
        return Account(objective().objectives[0], history(*args, **fields), 7 * DAY)

    def test_the_period_and_the_one_before_are_the_window(self):
        account = self.account(bad=[(10, 20), (200, 5), (335, 1)])
        assert (account.window.bad, account.period.bad, account.period_before.bad) == (26, 6, 20)
        assert account.spent(account.window) == pytest.approx(26 / 336)

    def test_days_and_hours_are_parts_of_the_period(self):
        account = self.account(bad=[(10, 20), (200, 5), (335, 9)])
        assert [day.bad for day in account.days()] == [0, 5, 0, 0, 0, 0, 9]
        assert [(hour.bad, hour.start_seconds) for hour in account.worst_hours(5)] == [
            (9, END - 3_600),
            (5, END - 136 * 3_600),
        ]

    def test_without_an_event_nothing_is_spent_and_nothing_is_kept(self):
        account = self.account((0,) * 336)
        assert account.spent(account.period) is None
        assert account.window.error_ratio is None

    def test_only_what_was_unseen_within_the_window_is_unknown(self):
        assert self.account(unseen=((0, 84),)).known_ratio == pytest.approx(0.75)
        longer = Account(objective().objectives[0], history((1,) * 672, unseen=((0, 336),)), 7 * DAY)
        assert longer.known_ratio == 1.0
        shorter = Account(objective().objectives[0], history((1,) * 168), 7 * DAY)
        assert shorter.known_ratio == pytest.approx(0.5)

    @given(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), min_size=30, max_size=30).map(
            lambda rows: [(max(a, b), min(a, b), seen) for a, b, seen in rows]
        )
    )
    def test_groups_together_are_their_sums_and_what_one_saw_was_seen(self, rows):
        one = History(Traffic(3_600, tuple(a for a, _, _ in rows), tuple(b for _, b, _ in rows)))
        gaps = tuple((n, n + 1) for n, (_, _, seen) in enumerate(rows) if not seen)
        other = replace(one, unseen=((0, 15),))
        both = together([replace(one, unseen=gaps), other])
        assert sum(both.traffic.bad) == 2 * sum(one.traffic.bad)
        assert both.unseen_steps == sum(1 for start, _ in gaps if start < 15)

    @pytest.mark.parametrize(
        ("period", "zone", "days"),
        [("week", "UTC", 7), ("month", "UTC", 23), ("quarter", "America/New_York", 53 + 20 / 24)],
    )
    def test_a_calendar_budget_reaches_back_to_the_beginning_of_its_period(self, period, zone, days):
        """The end is Monday, 2025-11-24 00:00 UTC, when a week is over; New York's quarter left summer time."""
        calendar = {"period": period, "time_zone": zone}
        spec = make_spec({"name": "a", "indicator": "position_integrity", "target": 0.99, "calendar": calendar})
        assert window_seconds(spec.objectives[0], END) == round(days * DAY)

    @pytest.mark.parametrize(("period", "days"), [("week", 7), ("month", 31), ("quarter", 92)])
    def test_what_is_read_reaches_back_over_the_longest_period(self, period, days):
        calendar = {"period": period, "time_zone": "Europe/Berlin"}
        spec = make_spec({"name": "a", "indicator": "position_integrity", "target": 0.99, "calendar": calendar})
        assert Period(60, END).grid(spec.objectives).start_seconds <= END - days * DAY

    def test_a_new_release_does_not_buy_a_new_budget(self):
        releases = [history(labels={"model": m, "model_version": v}) for m, v in (("a", "1"), ("b", "1"), ("a", "2"))]
        assert [(name, len(shared)) for name, shared in by_budget(releases, ["model"])] == [("a", 2), ("b", 1)]


def review(histories=(), **fields) -> Review:
    spec = objective()
    return Review(spec, 7 * DAY, END, [(spec.objectives[0], histories)], **fields)


def burned(model: str) -> Fired:
    who = {"model": model, "model_version": "1"}
    return Fired("LocantIntegrityBudgetBurn", "integrity", "fast", "page", who, END - 9_000, END - 5_400)


class TestWords:
    def test_no_data_is_neither_kept_nor_missed(self):
        for histories in ((), (history((0,) * 336),)):
            text = render_markdown(review_document(review(histories)))
            assert "| integrity |  | 99% over 14d | no data | no data | no data | no data | unknown |" in text
            assert "neither kept nor missed, it is unknown" in text
            assert "100" not in text

    def test_what_is_unknown_is_said_and_nothing_is_none(self):
        text = render_markdown(review_document(review((history(),))))
        assert "Alerts: unknown." in text
        assert "Releases: unknown." in text
        assert "Findings: unknown." in text
        known = render_markdown(review_document(review((history(),), fired=(), released=(), found=())))
        assert "Alerts: none fired." in known
        assert "Releases: none." in known
        assert "Findings: none." in known

    def test_a_gap_is_said(self):
        text = render_markdown(review_document(review((history(unseen=((0, 84),)),))))
        assert "Somebody reported in 75% of the 14d; the rest is unknown, not good." in text

    def test_everything_stands_where_one_looks_for_it(self):
        told = review(
            (history(bad=[(10, 20), (200, 50)], labels={"model": "m", "model_version": "1"}),),
            fired=(burned("m"), burned("other")),
            released=(Released("m", "1", END - DAY),),
            found=(Found("F3", "page", 12, 0),),
        )
        text = render_markdown(review_document(told))
        assert "| integrity | m | 99% over 14d | 99.792% | 79.2% | 14.9% | 6.0% | 1 |" in text
        assert "| LocantIntegrityBudgetBurn | fast | page | m 1 | 2025-11-23 21:30 UTC | 1h |" in text
        assert "| m | 1 | 2025-11-23 00:00 UTC |" in text
        assert "| F3 padding leakage | page | 12 | 0 |" in text
        assert "| 2025-11-18 08:00 UTC | 100 | 50 | 50.000% |" in text
        assert "Budget spent a day: ▁█▁▁▁▁▁ (most: 14.9% of the budget of the whole window)." in text
        assert render_html(review_document(told)).count("<svg") == 1


START = int(time.time()) // 3_600 * 3_600 - 2 * DAY
MINUTES = 1_440


def release(version: str, counts: list[int], bad: list[int], since: int = 0) -> list[Counter]:
    labels = {"model": "m", "model_version": version}
    sli = {"indicator": "position_integrity", **labels}
    return [
        Counter("locant_sli_events_total", sli, counts, since=since),
        Counter("locant_sli_bad_events_total", sli, bad, since=since),
        Counter("locant_last_observation_timestamp_seconds", labels, [60] * len(counts), born=START, since=since),
    ]


def held(name: str, labels: dict[str, str], first: int, last: int) -> Counter:
    """A series that is 1 in these minutes and absent otherwise."""
    return Counter(name, labels, [0] * (last - first), born=1, since=first)


def bed() -> list[Counter]:
    """Release 1 all day; release 2 from minute 600, with an incident, a finding and an alert that fires twice."""
    bad = [5 if 100 <= minute < 160 else 0 for minute in range(840)]
    alert = {"alertname": "LocantIntegrityBudgetBurn", "alertstate": "firing", "service": "chat", "slo": "integrity"}
    about = {**alert, "tier": "fast", "severity": "page", "model": "m", "model_version": "2"}
    finding = {"failure_mode": "F3", "severity": "page", "check": "padding", "model": "m", "model_version": "2"}
    return [
        *release("1", [50] * MINUTES, [0] * MINUTES),
        *release("2", [10] * 840, bad, since=600),
        held("ALERTS", about, 705, 760),
        held("ALERTS", about | {"tier": "medium"}, 720, 790),
        held("locant_findings_total", finding, 700, MINUTES),
        held("locant:slo_objective:ratio", {"service": "chat", "slo": "integrity"}, 0, MINUTES),
    ]


@pytest.mark.server
def test_a_real_prometheus_is_reviewed(program, tmp_path):
    import_counters(program("promtool"), tmp_path, bed(), START)
    (tmp_path / "slo.yaml").write_text(SPEC + INTEGRITY + PADDING)
    end = str(START + 60 * MINUTES)
    with prometheus(program("prometheus"), tmp_path, []) as api:
        arguments = [
            "report",
            "-f",
            str(tmp_path / "slo.yaml"),
            "--prometheus",
            api.url,
            "--period",
            "20h",
            "--until",
            end,
        ]
        text = CliRunner().invoke(cli, arguments, catch_exceptions=False).output
        page = CliRunner().invoke(cli, [*arguments, "--output", str(tmp_path / "r.html")], catch_exceptions=False)
        bare = CliRunner().invoke(
            cli, [*arguments, "--slo", "padding", "--until", str(START - 9_000)], catch_exceptions=False
        )
    events, bad = 50 * MINUTES + 10 * 840, 300
    kept, left = 1 - bad / events, 1 - bad / (events * 0.01)
    assert f"| integrity | m | 99% over 14d | {kept:.3%} | {left:.1%} | {1 - left:.1%} | 0.0% | 2 |" in text
    assert "| padding |  | 99% over 14d | no data |" in text
    assert "Alerts: 2." in text
    assert "| LocantIntegrityBudgetBurn | medium | page | m 2 |" in text
    assert "| 1h 1m |" in text  # 56 minutes, and the five for which Prometheus looks back where no staleness was marked
    assert "Releases: 1." in text
    assert "| F3 padding leakage | page | 1 | 0 |" in text
    assert "| m 2 | 8400 | 300 | 3.571% |" in text
    assert "Somebody reported in 7% of the 14d" in text
    assert page.exit_code == 0
    assert (tmp_path / "r.html").read_text().count("<svg") == 1
    assert "Alerts: unknown." in bare.output


def test_a_file_of_counts_is_reviewed_without_what_it_cannot_know(tmp_path):
    (tmp_path / "slo.yaml").write_text(SPEC + INTEGRITY)
    rows = [f"{int(END) - 3_600 * (336 - hour)},100,{50 if hour == 200 else 0}" for hour in range(336)]
    (tmp_path / "h.csv").write_text("time,events,bad\n" + "\n".join(rows) + "\n")
    arguments = ["report", "-f", str(tmp_path / "slo.yaml"), "--csv", str(tmp_path / "h.csv")]
    result = CliRunner().invoke(cli, [*arguments, "--slo", "integrity"], catch_exceptions=False)
    assert "| integrity |  | 99% over 14d | 99.851% | 85.1% | 14.9% | 0.0% | unknown |" in result.output
    assert "From 2025-11-17 00:00 UTC to 2025-11-24 00:00 UTC." in result.output
    nameless = CliRunner().invoke(cli, arguments)
    assert "name it with --slo" in str(nameless.exception)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "exactly one of --prometheus and --csv"),
        (["--csv", "a", "--output", "r.pdf"], "neither .html nor .md"),
        (["--prometheus", "http://127.0.0.1:9"], "no Prometheus answers there"),
    ],
)
def test_what_cannot_be_reviewed_is_a_sentence(given, words, tmp_path):
    (tmp_path / "slo.yaml").write_text(SPEC + INTEGRITY)
    result = CliRunner().invoke(cli, ["report", "-f", str(tmp_path / "slo.yaml"), *given])
    assert isinstance(result.exception, LocantError)
    assert words in str(result.exception)
