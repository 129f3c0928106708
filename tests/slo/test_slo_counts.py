"""How an objective's counts are taken: exactly where that is affordable, summed beyond, as often as a window needs."""

from __future__ import annotations

import pytest
import yaml

from locant_slo.counts import LONGEST_RAW_SECONDS, counts, interval_seconds, new_share, summed
from locant_slo.exclusions import excludes, masked, unless_maintained
from locant_slo.load import parse_spec
from locant_slo.spec import Spec

HOUR, DAY = 3_600, 86_400


def spec(scrape: str = "15s", **fields: object) -> Spec:
    objective = {"name": "integrity", "indicator": "position_integrity", "target": 0.999, "group_by": ["model"]}
    content = {"version": "locant/v1", "service": "chat", "retention": "400d", "scrape_interval": scrape}
    return parse_spec(yaml.safe_dump(content | {"objectives": [objective]} | fields), "slo.yaml")


def test_each_reason_excludes_by_itself_and_a_release_only_what_shares_its_labels():
    during = 'max_over_time(locant:time:maintenance{service="chat"}[5m])'
    quiet = 'on (model) max_over_time(locant:time:deploy{service="chat"}[5m])'
    window = {"maintenance": [{"name": "nightly", "start": "22:30", "lasts": "1h"}]}
    for fields, reasons in (
        ({}, ()),
        (window, (f"x unless on () {during}",)),
        ({"deploys": {"quiet": "10m", "by": ["model", "tenant"]}}, (f"x unless {quiet}",)),
        (
            window | {"deploys": {"quiet": "10m", "by": ["model", "tenant"]}},
            (f"x unless on () {during}", f"x unless {quiet}"),
        ),
    ):
        made = spec(**fields)
        assert masked(made, made.objectives[0], "unless", "x") == reasons
        assert excludes(made) is bool(reasons)
        assert unless_maintained(made, "x") == (f"x\nunless on () {during}" if "maintenance" in fields else "x")


@pytest.mark.parametrize(
    ("window", "seconds"),
    [(299, 15), (300, 30), (HOUR - 1, 30), (HOUR, 60), (6 * HOUR, 60), (6 * HOUR + 1, 240), (400 * DAY, 240)],
)
def test_a_long_window_is_looked_at_less_often_and_never_so_rarely_that_its_last_sample_is_forgotten(window, seconds):
    assert interval_seconds(window, spec()) == seconds < 300


@pytest.mark.parametrize(("scrape", "seconds"), [("15s", 30), ("30s", 30), ("60s", 60)])
def test_nothing_is_evaluated_more_often_than_it_is_scraped_and_the_new_shares_of_a_base_window_make_one(
    scrape, seconds
):
    assert interval_seconds(300, spec(scrape)) == seconds
    assert new_share(spec(scrape)) * 300 / seconds == 1


def test_three_days_are_read_from_the_counters_and_more_is_summed():
    objective = spec().objectives[0]
    for text in counts(spec(), objective, LONGEST_RAW_SECONDS):
        assert "locant_sli" in text
        assert "[3d]" in text
    bad, everything = counts(spec(), objective, LONGEST_RAW_SECONDS + 1)
    assert bad == 'sum_over_time(locant:sli_bad_events:increase5m{slo="integrity", service="chat"}[259201s]) * 0.1'
    assert everything == summed("locant:sli_events:increase{window}", spec(), objective, LONGEST_RAW_SECONDS + 1)
