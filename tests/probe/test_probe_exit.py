"""A program that simply ends: its own exit status, and no thread of ours inside torch when the interpreter goes."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit, sys, threading
atexit.register(lambda: print(sorted(t.name for t in threading.enumerate() if t.name.startswith("locant"))))
import torch, locant
from locant.canary.background import keep_asking
from locant.demo.bed import load_bed, suite_of
bed = load_bed("llama")
watch = locant.watch(bed.model)
{more}
with torch.no_grad():
    bed.model(torch.tensor([[1, 9, 10, 11]]))
assert {{t.name for t in threading.enumerate()}} >= {{"locant-agent"}}
sys.exit(7)
"""


def ends(more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(more=more)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_agents_thread_ends_before_the_interpreter():
    run = ends("")
    assert (run.returncode, run.stdout) == (7, "[]\n"), run.stderr


def test_so_does_the_canarys():
    run = ends("keep_asking(watch, suite_of(bed), interval_seconds=0.001, share=1.0)")
    assert (run.returncode, run.stdout) == (7, "[]\n"), run.stderr
