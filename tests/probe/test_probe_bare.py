"""Position tables that are bare parameters or buffers: which are found, what the audit and the manifest say of them."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch import nn  # noqa: E402

from locant.probe.audit import audit  # noqa: E402
from locant.probe.bare import bare_tables  # noqa: E402
from locant.probe.fingerprint import fingerprint  # noqa: E402
from locant.probe.profile import describe  # noqa: E402
from probe.tinies import config_of, tiny  # noqa: E402

WIDTH = 16


def vision(kind: str, auto: str = "AutoModel"):
    """A small vision model with sixteen patches whose table, zeros at first in some, is filled."""
    torch.manual_seed(0)
    names = {"use_absolute_position_embeddings": True} if kind == "beit" else {}
    model = getattr(transformers, auto).from_config(config_of(kind, image_size=32, patch_size=8, **names)).eval()
    model = model.requires_grad_(False)
    for _, table in tables(model):
        if not bool(table.any()):
            table.normal_()
    return model


def tables(model):
    return [(name, t) for name, t in model.named_parameters() if "position_embedding" in name]


VISION = ["vit", "deit", "beit", "dinov2", "clip_vision_model", "siglip_vision_model"]


@pytest.mark.parametrize("kind", VISION)
def test_the_table_of_a_vision_model_is_audited_and_printed(kind):
    model = vision(kind)
    [(name, table)] = tables(model)
    flat = table.view(-1, table.shape[-1])
    assert audit(model, describe(model)) == ()
    prints = {one.module: one for one in fingerprint(model, golden=False).tables}
    printed = prints[name.removesuffix(".weight")]
    assert (printed.rows, printed.columns) == flat.shape

    flat[5:8] = 0
    [found] = audit(model, describe(model))
    assert (found.what, found.found) == ("zero_rows", "3 rows of zeros")
    flat[9] = math.nan
    [found] = audit(model, describe(model))
    assert (found.what, found.relative_error) == ("table", math.inf)
    assert fingerprint(model, golden=False).tables != tuple(prints.values())


def test_a_vision_model_bounds_no_number_of_tokens():
    profile = describe(vision("vit"))
    assert (profile.scheme, profile.table_rows, profile.trained_tokens) == ("patches_2d", None, None)


def test_the_class_tokens_row_of_a_fixed_grid_may_be_zero():
    model = transformers.ViTMAEModel(config_of("vit_mae", image_size=32, patch_size=8))
    assert not bool(dict(bare(model))["embeddings.position_embeddings"][0, 0].any())
    assert audit(model, describe(model)) == ()


def test_the_table_of_the_vision_tower_beside_text_is_audited():
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    text, image = {**small, "vocab_size": 64, "eos_token_id": 2}, {**small, "image_size": 32, "patch_size": 8}
    model = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=8))
    model = model.eval().requires_grad_(False)
    assert audit(model, describe(model)) == ()
    model.vision_model.embeddings.position_embedding.weight[3] = math.inf
    [found] = audit(model, describe(model))
    assert found.module.startswith("vision_model.embeddings.position_embedding")


def bare(model):
    return [(table.name, table.tensor) for table in bare_tables(model)]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert", "t5", "bloom", "whisper", "roberta", "deberta-v2", "xlnet"])
def test_families_of_modules_have_no_bare_table(kind):
    assert bare(tiny(kind)) == []


class Holder(nn.Module):
    """Token embeddings, and one tensor beside them."""

    def __init__(self, name: str, tensor: torch.Tensor, *, learned: bool = True) -> None:
        super().__init__()
        self.wte = nn.Embedding(64, WIDTH)
        if learned:
            self.register_parameter(name, nn.Parameter(tensor))
        else:
            self.register_buffer(name, tensor)

    def forward(self, idx):
        return self.wte(idx)


@pytest.mark.parametrize(
    "name",
    [*("pos", "pos_emb", "position_embeddings", "pos_embed", "positional_embedding", "wpe", "posemb", "abs_pos_embed")],
)
@pytest.mark.parametrize("shape", [(32, WIDTH), (1, 32, WIDTH)])
def test_a_bare_table_bounds_a_model_of_tokens(name, shape):
    profile = describe(Holder(name, torch.zeros(shape)))
    assert (profile.scheme, profile.table_rows, profile.trained_tokens) == ("learned", 32, 32)
    assert not profile.absolute


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("relative_position_table", (32, WIDTH)),  # distances
        ("rel_pos", (32, WIDTH)),
        ("pos_bias_u", (4, WIDTH)),  # added to queries
        ("position_embeddings", (32, 4)),  # one number per head
        ("position_embeddings", (4, 8, WIDTH)),  # a grid
        ("cls_position", (1, 1, WIDTH)),
        ("compose", (32, WIDTH)),
        ("proposal", (32, WIDTH)),
    ],
)
def test_what_only_looks_like_a_table_is_none(name, shape):
    model = Holder(name, torch.zeros(shape))
    assert bare(model) == []
    assert describe(model).scheme == "unknown"


def waves():
    angle = torch.arange(32)[:, None] * 10000.0 ** -(torch.arange(0, WIDTH, 2) / WIDTH)
    return torch.cat([angle.sin(), angle.cos()], -1)


@pytest.mark.parametrize("learned", [False, True])
def test_a_bare_sinusoid_has_rows_and_no_trained_length(learned):
    model = Holder("pos", waves(), learned=learned)
    profile = describe(model)
    assert (profile.scheme, profile.table_rows, profile.trained_tokens) == ("sinusoidal", 32, None)
    assert audit(model, profile) == ()


def test_two_tables_bound_nothing():
    model = Holder("pos", torch.zeros(32, WIDTH))
    model.register_parameter("target_pos", nn.Parameter(torch.zeros(8, WIDTH)))
    assert len(bare(model)) == 2
    assert describe(model).table_rows is None


def test_new_tables_and_rows_that_training_never_reached_are_legal():
    model = Holder("pos", torch.zeros(32, WIDTH)).requires_grad_(False)
    assert audit(model, describe(model)) == ()
    model.pos[1:8] = 1
    assert audit(model, describe(model)) == ()
    model.pos[4] = 0
    [found] = audit(model, describe(model))
    assert (found.module, found.what, found.relative_error) == ("pos", "zero_rows", 1 / 32)


def test_positions_in_a_bare_table_are_reported_as_not_seen(watch_model):
    model = Holder("pos", torch.zeros(32, WIDTH))
    seen = watch_model(model)
    model(torch.ones(1, 5, dtype=torch.long))
    [one] = seen.passes
    assert "positions" not in one.seen
    assert one.highest_planned_position == 4
