"""Decoders written by hand with a bare position table: overlong calls, broken rows, and traffic that is legal."""

from __future__ import annotations

import contextlib
import math

import pytest

torch = pytest.importorskip("torch")

from checks_models import alerts, words  # noqa: E402
from torch import nn  # noqa: E402

ROWS, WIDTH = 24, 16


class Sliced(nn.Module):
    """A decoder of one layer that adds the first rows of a table to its embeddings."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.wte, self.pos = nn.Embedding(64, WIDTH), nn.Parameter(torch.randn(*shape, ROWS, WIDTH))
        self.norm, self.mix = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)

    def places(self, length):
        return self.pos[..., :length, :]

    def forward(self, idx):
        return self.head(self.wte(idx) + self.places(idx.shape[1]))

    def head(self, x):
        weights = (x @ x.mT).masked_fill(torch.ones(x.shape[1], x.shape[1]).triu(1) == 1, -math.inf).softmax(-1)
        return self.mix(self.norm(weights @ x)) @ self.wte.weight.t()


class Modulo(Sliced):
    """Begins again at the table's end."""

    def forward(self, idx):
        return self.head(self.wte(idx) + self.pos[torch.arange(idx.shape[1]) % len(self.pos)])


class Clamped(Sliced):
    """Stays in the table's last row."""

    def forward(self, idx):
        places = torch.arange(idx.shape[1]).clamp(max=ROWS - 1)
        return self.head(self.wte(idx) + self.pos[places])


class Cropped(Sliced):
    """Reads the end of what it is given, as many as the table has rows."""

    def forward(self, idx):
        idx = idx[:, -ROWS:]
        return self.head(self.wte(idx) + self.pos[: idx.shape[1]])


class Counted(Sliced):
    """Looks rows up by a count that never lies below zero, in the end of what it is given."""

    def forward(self, idx):
        idx = idx[:, -ROWS:]
        places = ((idx != 0).cumsum(-1) - 1).clamp(min=0)
        return self.head(self.wte(idx) + self.pos[places])


class Patched(Sliced):
    """Four tokens share a row."""

    def forward(self, idx):
        x = self.wte(idx).unflatten(1, (-1, 4)).mean(2)
        return self.head(x + self.pos[: x.shape[1]])


def call(model, length):
    with contextlib.suppress(RuntimeError):
        model(words(length)[None])


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_call_beyond_a_slice_is_an_overflow(shape):
    model = Sliced(*shape)
    assert not alerts(model, lambda: call(model, 5), lambda: call(model, ROWS))
    assert "table_overflow" in alerts(model, lambda: call(model, ROWS + 1))


@pytest.mark.parametrize("kind", [Modulo, Clamped])
def test_rows_that_are_used_twice_without_a_word_are_told(kind):
    model = kind()
    assert not alerts(model, lambda: call(model, 5), lambda: call(model, ROWS))
    assert alerts(model, lambda: call(model, ROWS + 1)) == {"beyond_trained_length"}


@pytest.mark.parametrize("kind", [Cropped, Counted, Patched])
def test_models_that_read_more_tokens_than_rows_by_right_are_left_alone(kind):
    model = kind()
    assert not alerts(model, lambda: call(model, 8), lambda: call(model, 2 * ROWS))


def test_a_bare_table_that_is_not_finite_pages():
    model = Sliced()
    model.pos.data[3] = math.nan
    assert "parameters_uninitialised" in alerts(model, lambda: call(model, 3))


def test_a_table_that_is_mostly_holes_pages():
    model = Sliced(1)
    model.pos.data[0, 2:20] = 0
    assert alerts(model, lambda: call(model, 3)) == {"parameters_uninitialised"}
