"""The pictures of a backtest: what was counted stands where it must, and nothing is needed to read them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from alert_support import make_spec
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from locant.cli import cli
from locant_alerts.backtest_report import backtest_document
from locant_alerts.document import render_html
from locant_alerts.history import History
from locant_alerts.history.simulate import parse_incident, simulate
from locant_alerts.pictures import png
from locant_alerts.pictures.axes import Box, ratio_share, time_marks
from locant_alerts.pictures.svg import svg
from locant_alerts.pictures.timeline import MOST_COLUMNS, timeline
from locant_alerts.replay import Traffic, replay
from locant_slo.errors import ConfigError, MachineError

SPEC = "version: locant/v1\nservice: chat\nobjectives: [{name: a, indicator: position_integrity, target: 0.999}]\n"


def drawn(history: History, title: str = "m 1"):
    (objective,) = make_spec().objectives
    return timeline(objective, history, replay(objective, history.traffic), title)


def stepped() -> History:
    return simulate([parse_incident("step:0.3")], events_per_step=100, calm_seconds=300_000, step_seconds=60)


def test_columns_add_up_to_the_traffic_and_the_budget_falls_by_what_was_bad():
    line = drawn(stepped())
    assert len(line.columns) == MOST_COLUMNS
    ends = [0.0, *(column.end_seconds for column in line.columns)]
    events = sum(
        c.events_per_second * (end - start) for c, start, end in zip(line.columns, ends, ends[1:], strict=False)
    )
    assert events == pytest.approx(sum(stepped().traffic.events))
    assert line.columns[0].budget_remaining == 1
    assert line.columns[-1].budget_remaining == pytest.approx(1 - 0.3 * 120 / (0.001 * 43_200))
    assert max(column.error_ratio or 0 for column in line.columns) == pytest.approx(0.3)


def test_every_firing_and_the_incident_are_bars():
    line = drawn(stepped())
    root = ElementTree.fromstring(svg(line))
    bars = [item.get("class") for item in root.iter() if item.tag.endswith("rect")]
    assert sorted(bars) == sorted(["shade", "incident", "page", "page", "ticket", "ticket"])
    limits = [item for item in root.iter() if item.get("class") == "limit"]
    assert len(limits) == 4


def test_names_from_outside_cannot_leave_their_element():
    text = svg(drawn(stepped(), '"><script>alert(1)</script>'))
    assert "<script" not in text
    ElementTree.fromstring(text)


@given(
    events=st.lists(st.integers(0, 50), min_size=1, max_size=80),
    share=st.floats(0, 1),
    step=st.sampled_from([1, 60, 300]),
    start=st.sampled_from([0.0, 1_700_000_123.0]),
)
def test_any_traffic_gives_a_picture_within_its_frame(events, share, step, start):
    history = History(Traffic(step, tuple(events), tuple(int(n * share) for n in events)), start_seconds=start)
    root = ElementTree.fromstring(svg(drawn(history)))
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    for item in root.iter():
        for key, most in (("x", width), ("x1", width), ("x2", width), ("y", height), ("y1", height), ("y2", height)):
            if key in item.attrib:
                assert -0.1 <= float(item.attrib[key]) <= most + 2
        assert "nan" not in (item.get("d") or "")


def test_a_logarithmic_axis_puts_a_tenth_one_step_down():
    assert [round(ratio_share(value, 0.001), 6) for value in (1, 0.1, 0.01, 0.001, 0)] == [
        1,
        0.666667,
        0.333333,
        0,
        0,
    ]
    assert Box(0, 10, 100, 50).up(2) == 10


def test_marks_stand_on_round_moments():
    history = History(Traffic(60, (1,) * 1_000, (0,) * 1_000), start_seconds=1_700_000_123.0)
    words = [word for _, word in time_marks(drawn(history))]
    assert 3 <= len(words) <= 10
    assert all(re.fullmatch(r"\d\d-\d\d \d\d:00", word) for word in words)


def test_a_page_needs_nothing_from_anywhere():
    (objective,) = make_spec().objectives
    text = render_html(backtest_document(objective, [stepped()]))
    assert not re.search(r"<script|<link|src=|@import|url\(", text)
    assert text.count("<table") == 2


def test_png_is_drawn_by_matplotlib(tmp_path):
    png.write_png([drawn(stepped()), drawn(stepped())], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(png, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match=r"pip install 'locant\[picture\]', or name an \.html file"):
        png.write_png([drawn(stepped())], tmp_path / "a.png")


def test_a_png_that_cannot_be_written_is_a_sentence(tmp_path):
    with pytest.raises(MachineError, match="cannot be written"):
        png.write_png([drawn(stepped())], tmp_path / "none" / "a.png")


def test_another_ending_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "slo.yaml").write_text(SPEC)
    result = CliRunner().invoke(
        cli, ["backtest", "-f", str(tmp_path / "slo.yaml"), "--slo", "a", "--simulate", "step", "--output", "a.pdf"]
    )
    assert isinstance(result.exception, ConfigError)
    assert "neither .html nor .png" in str(result.exception)
