"""Local time in PromQL is what the time zone database says, for any zone and moment of its table."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_slo.clock import KNOWN_FROM, KNOWN_UNTIL, changes, offset_expr

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca")
MOMENTS = st.integers(KNOWN_FROM, KNOWN_UNTIL - 1)


def offset(zone: str, moment: int) -> float:
    found = datetime.fromtimestamp(moment, ZoneInfo(zone)).utcoffset()
    assert found is not None
    return found.total_seconds()


@settings(max_examples=200)
@given(st.sampled_from(ZONES), MOMENTS)
def test_the_offset_at_any_moment_is_that_of_the_last_change(zone, moment):
    assert max(change for change in changes(zone) if change[0] <= moment)[1] == offset(zone, moment)


@pytest.mark.parametrize("zone", ZONES)
def test_each_change_is_found_to_the_second(zone):
    for moment, after in changes(zone)[1:]:
        assert offset(zone, moment) == after
        assert offset(zone, moment - 1) != after


@settings(max_examples=100)
@given(st.sampled_from(ZONES), MOMENTS)
def test_the_expression_adds_up_to_the_offset(zone, moment):
    first, *terms = re.split(r" (?=[+-] )", offset_expr(zone))
    total = int(first.replace(" ", ""))
    for term in terms:
        sign, seconds, since = re.fullmatch(r"([+-]) (\d+) \* \(time\(\) >= bool (\d+)\)", term).groups()
        total += int(f"{sign}{seconds}") * (moment >= int(since))
    assert total == offset(zone, moment)
