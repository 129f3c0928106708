"""A kept pass comes back as it was, in a file that others open, without what tells one prompt from another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locant.observation import ABSENT, RotaryFacts
from locant.sidecar.kept import passes
from locant.sidecar.kept.passes import from_bytes, keep, to_bytes
from locant.sidecar.kept.tensors import Table, pack, unpack
from support.kept_passes import FINDING, forward, kept, layer

SINGLE = st.floats(width=32, allow_nan=False)
INTEGER = st.integers(-(2**31), 2**31 - 1)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Any table of either type."""
    shape = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    dtype = draw(st.sampled_from(("I32", "F32")))
    count = shape[0] * shape[1]
    values = draw(st.lists(INTEGER if dtype == "I32" else SINGLE, min_size=count, max_size=count))
    return Table(dtype, shape, tuple(values))


@given(st.dictionaries(st.text(max_size=8).filter(lambda name: name != "__metadata__"), tables(), max_size=4))
def test_tables_come_back_bit_for_bit(given_tables: dict[str, Table]) -> None:
    assert unpack(pack(given_tables, {"a": "ü"})) == (given_tables, {"a": "ü"})


def test_a_whole_pass_keeps_what_each_layers_mask_does() -> None:
    told = {"visibility": (ABSENT, 0, 3, 0, 1, ABSENT, 0), "window": 7, "mask": "causal+bool"}
    facts = replace(forward(1), whole=True)
    given_pass = keep(FINDING, facts, (replace(layer(1), **told), layer(1, 1)))
    assert from_bytes(to_bytes(given_pass)) == given_pass


def test_the_file_opens_with_the_safetensors_library() -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    found = safetensors.load(to_bytes(kept()))
    assert found["positions"].tolist() == [[0, 1, 2, 3, 4, 5], [ABSENT] * 3 + [3, 4, 5]]
    assert found["layer.1.heat"].shape == (4, 4)
    assert found["layer.0.sums"][1].tolist() == [0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_a_pass_comes_back_as_it_was_kept(layers: int) -> None:
    rotary = RotaryFacts(dtype="bfloat16", output_error=0.5)
    given_pass = kept(layers=layers)
    given_pass = replace(given_pass, facts=replace(given_pass.facts, rotary=rotary))
    assert from_bytes(to_bytes(given_pass)) == given_pass


@given(st.integers(0, 600), st.binary(min_size=1, max_size=4))
def test_damaged_bytes_are_refused_or_read_and_nothing_else(place: int, junk: bytes) -> None:
    content = to_bytes(kept(layers=1))
    damaged = content[:place] + junk + content[place + len(junk) :]
    for broken in (damaged, content[:place]):
        try:
            from_bytes(broken)
        except ValueError:
            continue


def test_request_ids_token_hashes_and_the_span_are_not_kept() -> None:
    facts = forward(1)
    found = keep(FINDING, facts, (layer(1),))
    assert found.facts.request_ids == ()
    assert found.facts.span_id == ""
    assert {row.first_token_hash for row in found.facts.rows} == {ABSENT}
    assert found.facts.positions == facts.positions


def test_a_file_that_lacks_the_newest_statistics_still_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(passes, "STATISTICS", passes.STATISTICS[:9])
        content = to_bytes(kept())
    opened = from_bytes(content).layers[0]
    assert opened.cross_mass == kept().layers[0].cross_mass
    assert opened.log_distance == ()
