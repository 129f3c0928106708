"""PromQL that a user writes is read token by token: no string, comment or keyword is mistaken for what it is not."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_slo import promql
from locant_slo.expression import (
    Matcher,
    matched,
    narrowed,
    placed,
    ranges,
    selectors,
    suffixed,
    the_selector,
    tokens,
    uncommented,
)

NAMES = st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True).map(lambda name: f"m_{name}")
LABELS = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True).map(lambda name: f"l_{name}")
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
    lambda value: not value.startswith(("~", "!"))
)


def picked(text: str) -> list[str]:
    return [text[selector.start : selector.end] for selector in selectors(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x_total", ["x_total"]),
        ('x_total{a="b"}', ['x_total{a="b"}']),
        ("sum by (model) (rate(a:b[5m]))", ["a:b"]),
        ("sum(rate(x[5m])) by (model)", ["x"]),
        ("a / on (b, c) group_left (d) e", ["a", "e"]),
        ("a and b or c unless on () d", ["a", "b", "c", "d"]),
        ("a offset 5m > bool 3e+5", ["a"]),
        ('{__name__="x"} + {"utf.8", a="b"}', ['{__name__="x"}', '{"utf.8", a="b"}']),
        ('label_replace(x, "a", "$1", "b", "(.*)") # y{z="1"}', ["x"]),
        ("quantile_over_time(0.9, x[5m:1m] @ end())", ["x"]),
        ("topk by (a) (5, x)", ["x"]),
        ("-Inf + NaN * x", ["x"]),
    ],
)
def test_selectors_are_found_and_nothing_else_is(text, found):
    assert picked(text) == found


@settings(max_examples=100)
@given(NAMES, st.dictionaries(LABELS, VALUES, max_size=4), st.dictionaries(LABELS, VALUES, max_size=4))
def test_labels_are_added_and_a_matcher_that_stands_there_wins(name, own, more):
    (found,) = selectors(narrowed(promql.selector(name, own), more))
    assert found.name == name
    assert {matcher.label: matcher.value for matcher in found.matchers} == more | own


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3))
def test_a_number_reads_back_as_itself_without_exponent_or_spare_digits(value):
    text = promql.number(value)
    assert Decimal(text) == value
    assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", text)


def test_a_number_has_the_fifteen_digits_that_a_float_holds():
    assert promql.number(Decimal(2) / 3) == "0." + "6" * 14 + "7"


@settings(max_examples=100)
@given(VALUES, LABELS)
def test_what_stands_in_a_string_is_left_alone(value, label):
    text = f"sum(increase({promql.selector('x_total', {label: value + '$window [x]'})}[$window]))"
    (found,) = selectors(placed(text, "5m"))
    assert found.matchers == (Matcher(label, "=", value + "$window [x]"),)
    assert [token.text for token in ranges(placed(text, "5m"))] == ["5m"]


@pytest.mark.parametrize(
    ("literal", "said"),
    [
        (r'"a\\d\"\t\u0041\x41\U0001F600\101"', 'a\\d"\tAA\U0001f600A'),
        (r"'it\'s'", "it's"),
        (r'`a\d"`', 'a\\d"'),
    ],
)
def test_a_string_says_what_go_reads_in_it(literal, said):
    (found,) = selectors("x{a=" + literal + "}")
    assert found.matchers == (Matcher("a", "=", said),)


@pytest.mark.parametrize("text", ["$window", "x + $window", "x[$window + 5m]", "f($window)"])
def test_a_place_outside_a_range_is_refused(text):
    with pytest.raises(ValueError, match=r"\$window stands for a range and nothing else"):
        placed(text, "5m")


def test_a_subquery_has_a_place_too():
    assert placed("max_over_time(x[$window:1m])", "6h") == "max_over_time(x[6h:1m])"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x{a", "the '{' at character 2 is never closed"),
        ("x)", "the ')' at character 2 closes nothing"),
        ("(x]", "the ']' at character 3 closes nothing"),
        ("x[$range]", "character 3: of '$' only $window is known"),
        ("x[{{.window}}]", "begins no matcher"),
        ('x{a="b}', "the string that begins at character 5 is never closed"),
        ("x{a=1}", "'a' begins no matcher"),
        ("x & y", "character 3: '&' is no PromQL"),
    ],
)
def test_what_is_no_promql_is_a_sentence(text, problem):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the sentence is the next line's claim
        selectors(text)
    assert problem in str(caught.value)


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_whatever_text_it_is_tokens_cover_it_or_a_sentence_is_raised(text):
    try:
        found = tokens(text)
        selectors(text)
    except ValueError:
        return
    assert all(text[token.start : token.end] == token.text for token in found)
    assert [token.start for token in found] == sorted(token.start for token in found)


def test_a_selector_alone_is_told_from_more():
    assert the_selector(' x_total{a="b"} ') is not None
    assert the_selector("x_total offset 5m") is None
    assert the_selector("x + y") is None


def test_a_matcher_can_stand_beside_another_of_its_label():
    assert matched('x{a!=""} / y', "a", "~b") == 'x{a!="", a=~"b"} / y{a=~"b"}'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x", "x_bucket"),
        ('x{a="b"}', 'x_bucket{a="b"}'),
        ('{"x.y"}', '{"x.y_bucket"}'),
        ('{a="b", "x.y"}', '{a="b", "x.y_bucket"}'),
    ],
)
def test_a_suffix_belongs_to_the_name_wherever_it_stands(text, found):
    assert suffixed(text, "_bucket") == found


def test_comments_go_and_a_hash_in_a_string_stays():
    assert uncommented('x{a="#1"} # one\n  / y # two') == 'x{a="#1"} \n  / y'
