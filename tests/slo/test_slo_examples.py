"""Labels that prove an indicator: each series is picked by the selector it stands for, and by none it must not be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_slo.expression import Matcher, Selector, selectors
from locant_slo.indicators.examples import example, holds, pair

MATCHERS = st.builds(
    lambda label, how: Matcher(label, *how),
    st.sampled_from(["code", "path"]),
    st.tuples(st.sampled_from(["=", "!="]), st.sampled_from(["500", "404", "", "/a"]))
    | st.tuples(st.sampled_from(["=~", "!~"]), st.sampled_from(["5..", "[45]..", "500|404", "/.*", ".+"])),
)
SELECTORS = st.builds(
    lambda name, matchers: Selector(name, tuple(matchers), 0, 0),
    st.sampled_from(["x_total", "y_total"]),
    st.lists(MATCHERS, max_size=3),
)


def picks(selector: Selector | None, metric: str, labels: dict[str, str]) -> bool:
    return (
        selector is not None
        and selector.name == metric
        and all(holds(matcher, labels.get(matcher.label, "")) for matcher in selector.matchers)
    )


@settings(max_examples=100)
@given(st.tuples(SELECTORS, SELECTORS, SELECTORS), st.integers(0, 2))
def test_each_input_is_counted_as_what_it_is_called_and_as_nothing_else(three, left_out):
    good, bad, total = (None if n == left_out else one for n, one in enumerate(three))
    for made in pair(good, bad, total):
        is_good, is_bad, is_all = (picks(one, made.metric, made.labels) for one in (good, bad, total))
        if made.share == "bad":
            assert is_bad or (is_all and not is_good)
        elif made.share == "good":
            assert is_good or is_all
            assert not is_bad
        else:
            assert is_all
        if total is not None and total.name == made.metric:
            assert is_all


@pytest.mark.parametrize(
    ("texts", "shares"),
    [
        (("g", "b", None), [("g", "good"), ("b", "bad")]),
        (("g", None, "x"), [("g", "good"), ("x", "all")]),
        ((None, "b", "x"), [("b", "bad"), ("x", "all")]),
        ((None, 'x{code="500"}', "x"), [("x", "bad"), ("x", "good")]),
        (('x{code="200"}', None, "x"), [("x", "good"), ("x", "bad")]),
        (('x{code="200", code="500"}', None, "x"), []),
        (("x", None, "x"), []),
    ],
)
def test_two_counters_give_one_input_each_or_none_where_nothing_tells_them_apart(texts, shares):
    given = [None if text is None else selectors(text)[0] for text in texts]
    assert [(made.metric, made.share) for made in pair(*given)] == shares


@pytest.mark.parametrize(
    "text",
    [
        'x{a="b", c=~"5..", d!="e"}',
        'x{c=~"(2..|404)"}',
        'x{c=~"[45].."}',
        'x{c!~"5..", path=~"/v1/.*"}',
        'x{c=~"a|b", c!="a"}',
        "x",
    ],
)
def test_labels_are_found_that_a_selector_picks(text):
    matchers = selectors(text)[0].matchers
    labels = example(matchers)
    assert labels is not None
    assert all(holds(matcher, labels.get(matcher.label, "")) for matcher in matchers)


def test_what_cannot_be_found_is_said():
    assert example(selectors('x{a="b", a="c"}')[0].matchers) is None
