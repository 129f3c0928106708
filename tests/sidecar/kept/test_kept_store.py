"""The store of kept passes: for its owner alone, bounded, whole after a kill, and never in anybody's way."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from locant.sidecar.kept.passes import to_bytes
from locant.sidecar.kept.store import open_pass, open_store, read_store
from locant.sidecar.kept.writer import KeptWriter
from locant_slo.errors import MachineError
from support.kept_passes import FINDING, kept, other
from support.sidecar_traffic import START

WEEK = 7 * 86_400.0
ROOM = 1 << 20


def test_what_was_put_in_comes_out_and_the_newest_is_shown(tmp_path: Path) -> None:
    store = open_store(tmp_path / "kept.db", ROOM, WEEK)
    store.put(kept(1))
    store.put(kept(2))
    store.close()
    with read_store(tmp_path / "kept.db") as held:
        assert open_pass(held, FINDING.id) == kept(2)
        assert open_pass(held, "00000000") is None
        assert [entry.finding for entry in held.entries()] == [FINDING.id] * 2


def test_the_file_is_for_its_owner_alone_and_no_link_is_followed(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        open_store(tmp_path / "kept.db", ROOM, WEEK).close()
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "kept.db").stat().st_mode) == 0o600
    (tmp_path / "link.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(MachineError, match="passes cannot be kept"):
        open_store(tmp_path / "link.db", ROOM, WEEK)
    assert not (tmp_path / "elsewhere.db").exists()


def test_size_age_and_number_are_bounded_and_the_oldest_goes(tmp_path: Path) -> None:
    path, each = tmp_path / "kept.db", len(to_bytes(kept(1)))
    store = open_store(path, 10 * each, WEEK)
    for number in range(40):
        store.put(kept(number, finding=other(f"check_{number:02}")))
    held = store.entries()
    assert [entry.check for entry in held] == [f"check_{number:02}" for number in range(39, 29, -1)]
    assert path.stat().st_size < 20 * each + 65_536
    store.put(kept(1, finding=other("later"), time=START + WEEK + 35))
    assert [entry.check for entry in store.entries()][1:] == [f"check_{number}" for number in range(39, 34, -1)]
    for number in range(9):
        store.put(kept(100 + number, time=START + WEEK + 40))
    assert sum(entry.finding == FINDING.id for entry in store.entries()) == 5
    with pytest.raises(ValueError, match="larger than the store"):
        store.put(kept(1, layers=40))
    store.close()


_WRITES_FOR_EVER = """
import itertools, sys
from pathlib import Path
from locant.sidecar.kept.store import open_store
from support.kept_passes import kept, other
store = open_store(Path(sys.argv[1]), 1 << 20, 1e9)
for number in itertools.count():
    store.put(kept(number, finding=other(f"check_{number}")))
"""


def test_a_process_that_is_killed_while_it_writes_leaves_whole_passes(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    for _ in range(3):
        found = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        writing = subprocess.Popen([sys.executable, "-c", _WRITES_FOR_EVER, str(path)], env=found)
        deadline = time.monotonic() + 60
        while not (path.exists() and path.stat().st_size > 65_536) and time.monotonic() < deadline:
            time.sleep(0.01)
        writing.send_signal(signal.SIGKILL)
        writing.wait()
        store = open_store(path, ROOM, 1e9)
        assert len(store.entries()) > 0
        assert all(open_pass(store, entry.finding) is not None for entry in store.entries())
        store.close()
    assert not path.with_name("kept.db.refused").exists()


@pytest.mark.parametrize("content", [b"junk" * 4096, None])
def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "kept.db"
    store = open_store(path, ROOM, WEEK)
    for number in range(20):
        store.put(kept(number, finding=other(f"check_{number}")))
    store.close()
    whole = bytearray(path.read_bytes())
    whole[4096:12_288] = os.urandom(8192)
    path.write_bytes(content or bytes(whole))
    again = open_store(path, ROOM, WEEK)
    again.put(kept(1))
    assert len(again.entries()) == 1
    again.close()
    assert path.with_name("kept.db.refused").exists()


def test_a_store_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("hello")
    for name in ("missing.db", "text.db"):
        with pytest.raises(MachineError, match="is no store of kept passes"), read_store(tmp_path / name) as held:
            held.entries()
    assert not (tmp_path / "missing.db").exists()


def test_what_cannot_be_written_is_counted_and_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = KeptWriter(tmp_path / "no folder" / "kept.db", ROOM, WEEK)
    assert lost.offer(kept(1))
    lost.close(10.0)
    assert (lost.ok, lost.errors) == (0, 1)

    monkeypatch.setattr(KeptWriter, "_run", lambda self: time.sleep(0.5))
    hung = KeptWriter(tmp_path / "kept.db", ROOM, WEEK)
    started = time.monotonic()
    taken = [hung.offer(kept(number)) for number in range(20)]
    assert time.monotonic() - started < 0.4
    assert taken.count(False) == hung.errors == 4


def test_a_writer_writes_what_waits_before_it_closes(tmp_path: Path) -> None:
    writer = KeptWriter(tmp_path / "kept.db", ROOM, WEEK)
    for number in range(5):
        writer.offer(replace(kept(number), finding=other(f"check_{number}")))
    writer.close(30.0)
    assert (writer.ok, writer.errors) == (5, 0)
    with read_store(tmp_path / "kept.db") as held:
        assert len(held.entries()) == 5
