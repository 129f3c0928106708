"""Encoders: sentence pairs with their segments, and attention that looks both ways."""

from __future__ import annotations

import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from checks_models import alerts, batch, ready, words  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

OPEN, SEPARATE = torch.tensor([1]), torch.tensor([2])
PAIR = torch.cat([OPEN, words(6), SEPARATE, words(5, 1), SEPARATE])[None]
"""Types change at column 8."""


def types(*lengths: int) -> torch.Tensor:
    """Token types that change behind so many tokens each."""
    return torch.cat([torch.full((length,), kind % 2) for kind, length in enumerate(lengths)])[None]


@pytest.mark.parametrize("kind", ["electra", "albert"])
@pytest.mark.parametrize("separator", [2, None])
class TestPairs:
    def read(self, kind, separator, given):
        model = ready(kind, "AutoModelForMaskedLM", sep_token_id=separator)
        return alerts(model, lambda: model(input_ids=PAIR, token_type_ids=given))

    def test_types_that_fit_the_separators_are_left_alone(self, kind, separator):
        assert not self.read(kind, separator, types(8, 6))
        assert not self.read(kind, separator, types(3, 2, 9))

    @pytest.mark.parametrize("given", [types(10, 4), types(6, 8), 1 - types(8, 6)])
    def test_types_shifted_or_exchanged_are_reported(self, kind, separator, given):
        assert self.read(kind, separator, given) == {"segments_astray"}


@pytest.mark.parametrize("kind", ["bert", "eurobert"])
def test_an_encoder_that_looks_back_only_is_reported(kind, monkeypatch):
    model, ids = ready(kind, "AutoModelForMaskedLM"), words(20)[None]
    assert not alerts(model, lambda: model(input_ids=ids))
    low = torch.zeros(1, 1, 20, 20).masked_fill(torch.ones(20, 20).triu(1) > 0, torch.finfo(torch.float32).min)
    monkeypatch.setattr(sys.modules[type(model).__module__], "create_bidirectional_mask", lambda *args, **kwargs: low)
    assert alerts(model, lambda: model(input_ids=ids)) == {"future_hidden"}


def test_a_text_tower_that_looks_back_by_design_is_left_alone():
    model, (ids, mask) = ready("clip_text_model", "AutoModel", eos_token_id=2), batch("right", 12, 5, 9)
    assert not alerts(model, lambda: model(input_ids=ids, attention_mask=mask), lambda: model(input_ids=ids))
