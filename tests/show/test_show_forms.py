"""A kept pass is shown with its own numbers, in a page and a picture that need nothing else."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from locant.cli import main
from locant.show.page import page
from locant.show.picture import picture
from locant.show.text import text
from locant.sidecar.kept.passes import from_bytes
from locant.sidecar.kept.store import open_store
from support.kept_passes import FINDING, kept


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


def test_names_cannot_write_into_the_page() -> None:
    evil = replace(FINDING, model="<script>alert(1)</script>", message="a < b & c")
    content = page(kept(finding=evil))
    assert "<script>" not in content
    assert "a &lt; b &amp; c" in content
    assert Reader(content).open == []


def test_the_picture_is_a_png_whose_darkest_square_is_the_largest_weight() -> None:
    content = picture(kept(layers=1))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    [data] = re.findall(rb"IDAT(.*)\x00\x00\x00\x00IEND", content, re.DOTALL)
    pixels = zlib.decompress(data[:-4])
    assert len(pixels) == height * (1 + 3 * width)

    def pixel(x: int, y: int) -> bytes:
        start = y * (1 + 3 * width) + 1 + 3 * x
        return pixels[start : start + 3]

    corners = {(query, key): pixel(key * 12 + 6, query * 12 + 6) for query in range(4) for key in range(4)}
    assert min(corners, key=lambda place: sum(corners[place])) == (1, 3)
    assert corners[0, 0] == b"\xff\xff\xff"


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
