"""Questions are pure, right, and as long as they were asked to be."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.canary.tasks import SHORTEST, ask
from locant.canary.vocabulary import TaskName
from locant.demo.recipes import VOCABULARY

TASKS = get_args(TaskName)
LAW = settings(max_examples=50)


@LAW
@given(st.sampled_from(TASKS), st.integers(10, 200), st.integers())
def test_a_question_fills_the_length_it_was_given_to_the_last_pair(task, tokens, seed):
    question = ask(task, VOCABULARY, tokens, random.Random(seed))
    assert tokens - 1 <= question.tokens <= tokens
    assert question.prompt[:2] == (VOCABULARY.bos, VOCABULARY.tasks[task])
    assert question.prompt[-1] == VOCABULARY.separator
    assert question.answer[-1] == VOCABULARY.eos
    first, end = VOCABULARY.letters
    assert all(first <= token < end for token in question.answer[:-1])


@LAW
@given(st.sampled_from(TASKS), st.integers(10, 64), st.integers())
def test_the_same_seed_asks_the_same_question(task, tokens, seed):
    assert ask(task, VOCABULARY, tokens, random.Random(seed)) == ask(task, VOCABULARY, tokens, random.Random(seed))


@LAW
@given(st.integers(10, 64), st.integers())
def test_copy_and_reverse_answer_with_the_payload_and_its_mirror(tokens, seed):
    copy = ask("copy", VOCABULARY, tokens, random.Random(seed))
    reverse = ask("reverse", VOCABULARY, tokens, random.Random(seed))
    payload = copy.prompt[2:-1]
    assert copy.answer[:-1] == payload
    assert reverse.answer[:-1] == payload[::-1]


@LAW
@given(st.integers(10, 64), st.integers())
def test_order_answers_with_the_letters_that_are_no_blank_as_they_appear(tokens, seed):
    question = ask("order", VOCABULARY, tokens, random.Random(seed))
    blank = VOCABULARY.letters[0]
    assert question.answer[:-1] == tuple(token for token in question.prompt[2:-1] if token != blank)
    assert len(set(question.answer[:-1])) == 3


@LAW
@given(st.integers(10, 64), st.integers())
def test_passkey_answers_with_what_stands_behind_the_key_token(tokens, seed):
    question = ask("passkey", VOCABULARY, tokens, random.Random(seed))
    at = question.prompt.index(VOCABULARY.key)
    assert question.answer[:-1] == question.prompt[at + 1 : at + 3]


@pytest.mark.parametrize("task", TASKS)
def test_a_length_too_short_for_the_task_is_refused_with_words(task):
    with pytest.raises(ValueError, match=f"{task} question needs {SHORTEST[task]} tokens"):
        ask(task, VOCABULARY, SHORTEST[task] - 1, random.Random(0))
    assert ask(task, VOCABULARY, SHORTEST[task], random.Random(0)).tokens <= SHORTEST[task]


def test_letters_repeat_so_that_content_does_not_stand_in_for_position():
    question = ask("copy", VOCABULARY, 32, random.Random(1))
    assert len(set(question.answer)) < len(question.answer)
