"""A kept pass is shown with its own numbers, in a page and a picture that need nothing else."""

from __future__ import annotations

import itertools
import re
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locant.cli import main
from locant.observation import ABSENT, NOT_RELIABLE
from locant.show import glyphs
from locant.show.drawing import positions_svg
from locant.show.page import page
from locant.show.picture import picture
from locant.show.text import text
from locant.sidecar.kept.passes import STATISTICS, KeptPass, from_bytes
from locant.sidecar.kept.store import open_store
from support.kept_passes import FINDING, kept, layer


class Reader(HTMLParser):
    """Tables of a page as text, and every address in it."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self._cell = False
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta",):
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "action")]
        self._cell = tag in ("td", "th")
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif self._cell:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[-1][-1][-1] += data


def test_the_page_holds_the_numbers_and_asks_nobody_for_anything() -> None:
    content = page(kept())
    reader = Reader(content)
    assert reader.open == []
    assert reader.addresses == []
    assert "<script" not in content
    assert "@import" not in content
    assert "url(" not in content
    _, rows, first, _ = reader.tables
    assert [line[rows[0].index("left pads")] for line in rows[1:]] == ["0", "3"]
    assert [line[first[0].index("entropy")] for line in first[1:]] == ["0.0625", "0.125", "0.1875", "0.25"]
    assert "query bin 3, key bin 1: 1.08333" in content
    assert "row 1: columns 3 to 5, positions 3 to 5" in content


def test_a_statistic_that_one_pass_says_little_of_is_called_rough() -> None:
    heads = [name for table in Reader(page(kept())).tables for name in table[0]]
    rough = {name.removesuffix(" (rough)") for name in heads if name.endswith(" (rough)")}
    assert rough == {name.replace("_", " ") for name in NOT_RELIABLE}


def test_names_cannot_write_into_the_page() -> None:
    evil = replace(FINDING, model="<script>alert(1)</script>", message="a < b & c")
    content = page(kept(finding=evil))
    assert "<script>" not in content
    assert "a &lt; b &amp; c" in content
    assert Reader(content).open == []


def pixels_of(content: bytes) -> list[list[bytes]]:
    """The pixels of a PNG of ours, line by line."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    [data] = re.findall(rb"IDAT(.*)\x00\x00\x00\x00IEND", content, re.DOTALL)
    raw = zlib.decompress(data[:-4])
    assert len(raw) == height * (1 + 3 * width)
    lines = [raw[y * (1 + 3 * width) + 1 : (y + 1) * (1 + 3 * width)] for y in range(height)]
    return [[line[3 * x : 3 * x + 3] for x in range(width)] for line in lines]


def test_the_picture_is_a_png_whose_dark_squares_are_the_whole_weights() -> None:
    one = replace(layer(1), heat=(1.0, *[0.0] * 14, 3.0), heat_rows=(1, 0, 3, 3))
    bare = replace(kept(layers=0), layers=(one,))
    bare = replace(bare, facts=replace(bare.facts, positions=(), position_columns=()))
    lines = pixels_of(picture(bare))
    dark, grey = bytes((8, 48, 107)), bytes((224, 224, 224))
    block = [(x, y) for y, line in enumerate(lines) for x, pixel in enumerate(line) if pixel == dark]
    left, top = min(x for x, _ in block), min(y for _, y in block)
    size = 96
    squares = {((x - left) // size, (y - top) // size) for x, y in block}
    assert squares >= {(0, 0), (3, 3)}
    assert not squares & {(key, query) for key in range(4) for query in range(4)} - {(0, 0), (3, 3)}
    assert lines[top + size + size // 2][left + size // 2] == grey  # of the second bin no row was sampled
    assert lines[top + 2 * size + size // 2][left + size // 2] == b"\xff\xff\xff"


def whole(layers: int, heads: int, bins: int = 32) -> KeptPass:
    """A pass that was looked at whole; head k of layer n has an entropy of n + k / 100."""
    told = {"visibility": (0, ABSENT, 0, 0, 2, ABSENT, 0), "mask": "causal+bool"}
    many = tuple(
        replace(
            layer(1, n, bins),
            **{
                **dict.fromkeys(STATISTICS, (0.0,) * heads),
                **told,
                "entropy": tuple(8 * (n + k / 100) for k in range(heads)),
                "window": 7 if n == layers - 1 else 0,
            },
        )
        for n in range(layers)
    )
    one = kept(layers=0)
    return replace(one, facts=replace(one.facts, whole=True), layers=many)


def test_a_whole_pass_is_small_multiples_and_tables_of_every_head() -> None:
    content = page(whole(12, 12))
    reader = Reader(content)
    assert content.count("<figure>") == 12 + 1  # a map of each layer, and the one statistic that differs
    assert content.count("<details>") == 12
    assert "Looked at whole, as the agent asked: 12 layers with 12 heads, 8 sampled rows, 12 heat maps" in content
    assert "layer 7, head 5: 7.05" in content
    assert "The same everywhere: padding mass: 0;" in content
    masks = reader.tables[2]
    assert [line[:3] for line in masks[1:]] == [["0 to 10", "causal+bool", "–"], ["11", "causal+bool", "7"]]
    assert [line[masks[0].index("pads visible")] for line in masks[1:]] == ["2", "2"]
    assert len(reader.tables) == 3 + 12
    assert reader.tables[3 + 7][6][1:3] == ["0", "7.05"]


def test_a_terminal_gets_a_line_a_layer_of_a_whole_pass_and_is_told_where_the_rest_is() -> None:
    said = text(whole(12, 12))
    lines = said[said.index("Layers: means") :].splitlines()
    assert lines[1].split() == ["layer", "entropy"]
    assert lines[2 + 7].split() == ["7", "7.055"]
    assert "-o pass.html" in lines[-1]
    assert max(len(line) for line in lines) < 120


def test_pages_and_pictures_of_large_models_stay_within_bounds() -> None:
    large = whole(80, 64)
    maps = tuple(
        one if n < 32 else replace(one, heat_bins=0, heat=(), heat_rows=()) for n, one in enumerate(large.layers)
    )
    large = replace(large, layers=maps)
    assert len(page(large)) < 8 << 20
    lines = pixels_of(picture(large))
    assert len(lines[0]) < 1400
    assert len(lines) < 4000


@pytest.mark.parametrize("written", ["Layer 3, head 17", "é?漢"])
def test_letters_of_a_picture_are_three_points_wide_and_a_point_apart(written: str) -> None:
    points = glyphs.written(written)
    assert len(points) == 5
    assert {len(line) for line in points} == {4 * len(written)}
    assert not any(line[3::4] != (False,) * len(written) for line in points)


@given(st.lists(st.one_of(st.just(ABSENT), st.integers(0, 50)), min_size=1, max_size=40))
def test_a_curve_of_positions_goes_through_every_one(positions: list[int]) -> None:
    facts = replace(kept().facts, positions=(tuple(positions),), position_columns=tuple(range(len(positions))))
    drawn = positions_svg(facts)
    real = [value for value in positions if value != ABSENT]
    assert bool(drawn) == bool(real)
    if not real:
        return
    low, high = min(real), max(real)
    ends = [[tuple(map(float, at.split(","))) for at in line.split()] for line in re.findall(r'points="(.*?)"', drawn)]
    for column, value in enumerate(positions):
        x = 44 + column / max(len(positions) - 1, 1) * 552
        on = [y for line in ends if (y := _at(line, x)) is not None]
        assert len(on) == (value != ABSENT)
        for y in on:
            assert y == pytest.approx(216 - (value - low) / max(high - low, 1) * 172, abs=0.6)


def _at(line: list[tuple[float, ...]], x: float) -> float | None:
    """The height of a line at a place; None beside it."""
    if not line[0][0] - 0.06 <= x <= line[-1][0] + 0.06:
        return None
    for (left, one), (right, other) in itertools.pairwise(line):
        if left - 0.06 <= x <= right + 0.06:
            return one if right == left else one + (other - one) * (x - left) / (right - left)
    return line[0][1]


def test_a_pass_that_was_not_looked_at_is_shown_too() -> None:
    bare = kept(layers=0)
    bare = replace(bare, facts=replace(bare.facts, positions=(), position_columns=()))
    assert "attention is sampled" in page(bare)
    assert picture(bare)[:4] == b"\x89PNG"
    assert FINDING.message in text(bare)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one pass."""
    path = tmp_path / "kept.db"
    held = open_store(path, 1 << 20, 1e6)
    held.put(kept())
    held.close()
    return path


def test_the_command_lists_prints_and_writes(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["findings", "show", *arguments, "--snapshot.path", str(store)])
        out = capsys.readouterr()
        return int(left.value.code or 0), out.out, out.err

    assert FINDING.id in run()[1]
    assert FINDING.message in run(FINDING.id)[1]
    for ending, start in ((".html", b"<!doctype html>"), (".png", b"\x89PNG")):
        target = tmp_path / f"pass{ending}"
        assert run(FINDING.id, "-o", str(target))[1] == f"wrote {target}\n"
        assert target.read_bytes().startswith(start)
        assert target.stat().st_mode & 0o777 == 0o600
    run(FINDING.id, "-o", str(tmp_path / "pass.safetensors"))
    assert from_bytes((tmp_path / "pass.safetensors").read_bytes()) == kept()
    status, _, said = run("deadbeef")
    assert status == 2
    assert "keeps no pass of finding 'deadbeef'" in said
    status, _, said = run(FINDING.id, "-o", str(tmp_path / "pass.gif"))
    assert status == 2
    assert "choose one of .html, .png, .safetensors" in said
