"""Encoder and decoder: the encoder's padding stays hidden from the decoder, and distances fall into their buckets."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from checks_models import alerts, batch, ready, words  # noqa: E402
from torch import nn  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

PAIRS = ("t5", "umt5", "bart", "marian", "pegasus", "m2m_100")


def pair(kind):
    return ready(kind, "AutoModelForSeq2SeqLM", decoder_start_token_id=1)


@pytest.mark.parametrize("kind", PAIRS)
def test_an_encoders_mask_that_does_not_reach_the_decoder_is_reported(kind):
    model, (ids, mask) = pair(kind), batch("right", 12, 5, 9)
    start = words(12).view(3, 4)

    def decode(**given):
        encoded = model.get_encoder()(input_ids=ids, attention_mask=mask)
        return model(encoder_outputs=encoded, decoder_input_ids=start, **given)

    assert not alerts(model, lambda: decode(attention_mask=mask), lambda: decode(attention_mask=mask.clone()))
    assert alerts(model, decode) == {"encoder_pads_open"}
    assert alerts(model, lambda: decode(attention_mask=torch.ones_like(mask))) == {"encoder_pads_open"}


def test_one_that_is_lost_after_the_prompt_is_reported_too():
    model, (ids, mask) = pair("bart"), batch("right", 12, 5, 9)

    def decode():
        encoded = model.get_encoder()(input_ids=ids, attention_mask=mask)
        given = {"encoder_outputs": encoded, "use_cache": True}
        first = model(decoder_input_ids=words(3).view(3, 1), attention_mask=mask, **given)
        model(decoder_input_ids=words(3).view(3, 1), past_key_values=first.past_key_values, **given)

    assert alerts(model, decode) == {"encoder_pads_open"}


def test_outputs_that_were_sliced_to_their_text_need_no_mask():
    model, (ids, mask) = pair("bart"), batch("right", 12, 5, 9)

    def decode():
        hidden = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        for row, length in enumerate((12, 5, 9)):
            model(encoder_outputs=(hidden[row : row + 1, :length],), decoder_input_ids=words(4).view(1, 4))

    assert not alerts(model, decode)


class Translator(nn.Module):
    """torch's own pair."""

    def __init__(self):
        super().__init__()
        self.embed, self.pos_encoder = nn.Embedding(64, 16, padding_idx=0), nn.Embedding(32, 16)
        self.pair = nn.Transformer(16, 2, 1, 1, 32, dropout=0.0, batch_first=True)

    def forward(self, src, tgt, src_pad=None, memory_pad=None):
        src, tgt = (self.embed(one) + self.pos_encoder(torch.arange(one.shape[1])) for one in (src, tgt))
        return self.pair(src, tgt, src_key_padding_mask=src_pad, memory_key_padding_mask=memory_pad)


def test_a_forgotten_memory_key_padding_mask_is_reported():
    torch.manual_seed(0)
    model, (ids, mask) = Translator().eval(), batch("right", 12, 5, 9)
    start, pad = words(12).view(3, 4), mask == 0
    assert not alerts(model, lambda: model(ids, start, pad, pad.clone()), lambda: model(ids[:1], start[:1]))
    assert alerts(model, lambda: model(ids, start, pad)) == {"encoder_pads_open"}


BUCKETS = {
    "exchanged": lambda good: lambda d, two, *rest: good(d, not two, *rest),
    "nearer": lambda good: lambda d, two, count, last: good(d, two, count, 20),
    "clipped": lambda good: lambda d, *rest: good(d.clamp(-5, 5), *rest),
    "mirrored": lambda good: lambda d, *rest: good(-d, *rest),
}


@pytest.mark.parametrize("kind", ["t5", "mt5"])
class TestBuckets:
    def score(self, model):
        return alerts(model, lambda: model(input_ids=words(60)[None], decoder_input_ids=words(50)[None]))

    def test_those_of_the_rule_are_left_alone(self, kind):
        assert not self.score(pair(kind))

    @pytest.mark.parametrize("fault", BUCKETS)
    def test_any_other_is_reported(self, kind, fault, monkeypatch):
        model = pair(kind)
        part = next(type(module) for module in model.modules() if hasattr(module, "_relative_position_bucket"))
        good = part._relative_position_bucket

        def plain(distance, bidirectional=True, num_buckets=32, max_distance=128):
            return good(distance, bidirectional, num_buckets, max_distance)

        wrong = BUCKETS[fault](plain)

        def bucket(distance, bidirectional=True, num_buckets=32, max_distance=128):
            return wrong(distance, bidirectional, num_buckets, max_distance)

        monkeypatch.setattr(part, "_relative_position_bucket", staticmethod(bucket))
        assert "buckets_wrong" in self.score(model)


def test_umt5s_buckets_and_those_of_a_decode_step_are_the_rules():
    model, prompt = pair("umt5"), words(40)[None]

    def decode():
        given = {"input_ids": words(60)[None], "use_cache": True}
        cache = model(decoder_input_ids=prompt, **given).past_key_values
        for step in range(3):
            model(decoder_input_ids=prompt[:, step : step + 1], past_key_values=cache, **given)

    assert not alerts(model, decode)
