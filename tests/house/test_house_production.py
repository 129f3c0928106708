"""The page that takes one from `pip install` to a scraped pod: its Python runs as it stands there."""

from __future__ import annotations

import json

import pytest

from support.documents import blocks

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.mark.server
def test_what_the_page_shows_runs_in_its_order(tmp_path, monkeypatch):
    from locant.demo.bed import load_bed

    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"model": load_bed("llama").model}
    shown = [
        code for heading in ("1. Watch the model", "2. Choose where the agent lives") for code in blocks(PAGE, heading)
    ]
    assert ["keep_asking" in code for code in shown].count(True) == 1
    try:
        for code in shown:
            exec(code.replace("0.0.0.0:9466", "127.0.0.1:0"), names)
    finally:
        names["watch"].close()
    assert json.loads((tmp_path / "reference.json").read_text())["models"]["chat"]["canary"]


PAGE = "production.md"
