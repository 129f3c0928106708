"""Laws of the burn-rate arithmetic."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_slo import burn
from locant_slo.durations import format_duration, parse_duration, spoken_duration
from locant_slo.spec import SRE_WORKBOOK_TIERS, Alerting, Objective, Tier, fitted_tiers

MONTH = 30 * 86_400
TARGETS = st.integers(900_001, 999_999).map(lambda n: Decimal(n) / 1_000_000)
TIERS = st.sampled_from(SRE_WORKBOOK_TIERS)


def objective(**fields: object) -> Objective:
    return Objective.model_validate({"name": "a", "indicator": "position_integrity", "target": "0.999"} | fields)


def test_the_factors_of_the_workbook():
    assert [burn.factor(tier, MONTH) for tier in SRE_WORKBOOK_TIERS] == [Decimal("14.4"), 6, 3, 1]


@settings(max_examples=50)
@given(st.integers(7, 400))
def test_fitted_tiers_keep_the_factors_for_every_window(days):
    fitted = fitted_tiers(days * 86_400)
    assert [burn.factor(tier, days * 86_400) for tier in fitted] == [Decimal("14.4"), 6, 3, 1]


def test_tiers_that_somebody_wrote_are_left_alone():
    written = Tier(name="mine", severity="page", budget=Decimal("0.1"), long=3_600, short=300)
    assert objective(window="7d", alerting=Alerting(tiers=(written,))).alerting.tiers == (written,)


@settings(max_examples=50)
@given(TIERS, TARGETS)
def test_the_threshold_is_exact(tier, target):
    assert burn.threshold(tier, target, MONTH) / (1 - target) == burn.factor(tier, MONTH)


@settings(max_examples=50)
@given(TIERS, TARGETS)
def test_one_bad_event_of_the_minimum_is_at_or_below_the_threshold(tier, target):
    fewest = burn.minimum_events(tier, target, MONTH)
    limit = burn.threshold(tier, target, MONTH)
    assert Decimal(1) / fewest <= limit
    assert fewest == 1 or Decimal(1) / (fewest - 1) > limit


@settings(max_examples=50)
@given(TIERS, TARGETS, st.integers(1, 1_000))
def test_detection_spends_the_tiers_budget(tier, target, permille):
    ratio = Decimal(permille) / 1_000
    seconds = burn.detection_seconds(tier, target, MONTH, ratio)
    if seconds is None:
        assert ratio <= burn.threshold(tier, target, MONTH)
        return
    assert tier.hold < seconds < tier.long + tier.hold
    spent = ratio * (seconds - tier.hold) / ((1 - target) * MONTH)
    assert abs(spent - burn.budget_spent_at_detection(tier, MONTH)) < Decimal("1e-15")


@settings(max_examples=50)
@given(TIERS, TARGETS, st.integers(100, 998))
def test_a_worse_fault_is_never_found_later(tier, target, permille):
    mild, bad = (burn.detection_seconds(tier, target, MONTH, Decimal(n) / 1_000) for n in (permille, permille + 1))
    assert mild is None or (bad is not None and bad <= mild)


@pytest.mark.parametrize("tier", SRE_WORKBOOK_TIERS)
def test_a_fault_at_the_threshold_itself_is_never_found(tier):
    limit = burn.threshold(tier, Decimal("0.999"), MONTH)
    assert burn.detection_seconds(tier, Decimal("0.999"), MONTH, limit) is None


def test_the_burn_rate_is_that_of_the_quickest_tiers_long_window():
    assert burn.burn_rate_window(objective()) == 3_600
    slower = [Tier(name=f"t{n}", severity="page", budget="0.1", long=n * 7_200, short=1_800) for n in (3, 1, 2)]
    assert burn.burn_rate_window(objective(alerting=Alerting(tiers=tuple(slower)))) == 7_200


def test_every_window_is_recorded_once_and_rising():
    windows = burn.recorded_windows(objective())
    assert [format_duration(window) for window in windows] == ["5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d"]


def test_an_objective_that_never_alerts_still_records_what_boards_need():
    windows = burn.recorded_windows(objective(alerting={"enabled": False}))
    assert [format_duration(window) for window in windows] == ["5m", "1h", "30d"]


@settings(max_examples=50)
@given(st.integers(1, 10**7))
def test_durations_survive_the_round_trip(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


def test_a_duration_is_the_sum_of_its_units_and_is_spoken_in_the_two_largest_without_zeros():
    assert parse_duration("1w2d3h4m5s") == ((9 * 24 + 3) * 60 + 4) * 60 + 5
    spoken = {93_784: "1d 2h", 3_600: "1h", 3_605: "1h", 90: "1m 30s", 59.6: "1m", 7: "7s", 0.2: "0s"}
    assert {seconds: spoken_duration(seconds) for seconds in spoken} == spoken


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "0s", "1m1h", "1.5h", "5min"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)
