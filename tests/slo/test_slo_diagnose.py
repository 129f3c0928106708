"""A spec of the right shape that could not work is refused, and a doubtful one is warned about."""

from __future__ import annotations

import pytest
import yaml

from locant_slo.diagnose import diagnose
from locant_slo.errors import SpecError
from locant_slo.load import parse_spec
from locant_slo.spec import Spec


def spec_text(objective: dict[str, object] | None = None, **fields: object) -> str:
    first = {"name": "a", "indicator": "position_integrity", "target": 0.999} | (objective or {})
    return yaml.safe_dump(
        {"version": "locant/v1", "service": "chat", "retention": "40d", "objectives": [first]} | fields
    )


def tier(**fields: object) -> dict[str, object]:
    base = {"name": "fast", "severity": "page", "budget": 0.02, "long": "1h", "short": "5m"}
    return {"alerting": {"tiers": [base | fields]}}


def error(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "slo.yaml")
    return "\n".join(caught.value.problems)


def warnings(text: str) -> list[str]:
    found = diagnose(parse_spec(text, "slo.yaml"), "slo.yaml")
    assert all(item.severity == "warning" for item in found)
    return [f"{item.path}: {item.sentence}" for item in found]


def test_the_defaults_raise_nothing():
    assert warnings(spec_text()) == []


@pytest.mark.parametrize("window", ["7d", "28d", "30d", "90d"])
def test_tiers_that_nobody_wrote_fit_any_window_of_a_week_or_more(window):
    assert warnings(spec_text({"window": window}, retention="100d")) == []


def test_a_tier_that_can_never_fire_is_refused():
    assert "tiers[0]: tier fast can never fire: 14.40 times the budget of 0.9 over 30d" in error(
        spec_text({"target": 0.9} | tier())
    )


def test_a_tier_that_fires_while_the_budget_lasts_is_refused():
    assert "its factor is 0.48; raise its budget to 0.042" in error(spec_text({"window": "1d"} | tier()))


def test_a_long_window_beyond_the_slo_window_is_refused():
    assert "make long shorter than the window of 1h" in error(spec_text({"window": "1h"} | tier(long="2h")))


def test_a_short_window_that_is_no_shorter_is_refused():
    assert "short: 1h is not shorter than long, 1h" in error(spec_text(tier(short="1h")))


def test_a_short_window_of_few_scrapes_is_refused():
    assert "short: 1m spans fewer than 4 scrapes of 30s; make it 2m or longer" in error(spec_text(tier(short="1m")))


def test_rare_scrapes_are_refused():
    assert "scrape_interval: 2m is too rare" in error(spec_text(scrape_interval="2m"))


def test_two_tiers_of_one_name_are_refused():
    two = {"alerting": {"tiers": [tier()["alerting"]["tiers"][0]] * 2}}
    assert "tiers[1].name: 'fast' is the name of tiers[0] too" in error(spec_text(two))


def test_objectives_whose_alerts_would_share_a_name_are_refused():
    first = {"name": "a-b", "indicator": "position_integrity", "target": 0.999}
    second = first | {"name": "a--b"}
    assert "objectives[1].name: 'a--b' names the same alerts as 'a-b'" in error(spec_text(objectives=[first, second]))


@pytest.mark.parametrize("label", ["slo", "severity", "tier", "model", "alertname", "__name__"])
def test_labels_that_are_ours_are_refused(label):
    assert f"labels.{label}: the label {label} is set by Locant or Prometheus" in error(spec_text(labels={label: "x"}))
    assert f"objectives[0].labels.{label}: " in error(spec_text({"labels": {label: "x"}}))


def test_an_address_that_is_none_is_refused():
    assert "routing.page: 'pager' is no web address" in error(spec_text(routing={"page": "pager"}))


def test_a_selector_is_plain():
    assert "selector.job: '~chat.*' is no plain value" in error(spec_text(selector={"job": "~chat.*"}))


def test_a_window_beyond_retention_is_a_warning():
    (found,) = warnings(spec_text(retention="15d"))
    assert found.startswith("slo.yaml: objectives[0].window: 30d is longer than Prometheus keeps data (15d)")


def test_alerting_on_an_indicator_that_only_informs_is_a_warning():
    (found,) = warnings(spec_text({"indicator": "padding_ratio"}))
    assert "padding_ratio informs and is no promise to users; set alerting.enabled: false" in found


def test_silenced_objectives_are_not_judged_by_their_tiers():
    assert warnings(spec_text({"target": 0.5, "alerting": {"enabled": False}})) == []


def test_a_spec_made_in_code_is_judged_alike():
    spec = Spec.model_validate(yaml.safe_load(spec_text({"target": 0.5})))
    assert [item.severity for item in diagnose(spec, "code")] == ["error", "error", "error"]
