"""Equal words for equal machines, and none where nobody can tell."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from locant.probe import machine
from locant.probe.machine import machine_of, this_host
from probe.tinies import causal

EPYC = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t: a b\n\nprocessor\t: 1\nmodel name\t: another\n"
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n"


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A machine whose files say this."""

    def says(processors=EPYC, quota="max 100000\n"):
        for name, text in (("_CPU_INFO", processors), ("_QUOTA", quota)):
            path = tmp_path / name
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text)
            monkeypatch.setattr(machine, name, path)

    return says


def test_a_processor_is_told_with_its_threads_and_the_cores_that_may_be_used(system, monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    threads = torch.get_num_threads()
    for quota, cores in (("max 100000\n", "4"), ("150000 100000\n", "1.5"), ("900000 100000\n", "4"), (None, "4")):
        system(quota=quota)
        assert machine_of(nn.Linear(2, 2), this_host()) == f"AMD EPYC, {threads} threads on {cores} cores"


def test_processors_without_a_name_are_told_by_their_parts(system):
    system(ARM)
    assert machine_of(nn.Linear(2, 2), this_host()).startswith("0x41 0x3 0xd0c, ")


@pytest.mark.parametrize("processors", [None, "", "processor : 0\n"])
def test_an_unknown_processor_is_no_machine(system, processors):
    system(processors)
    assert machine_of(nn.Linear(2, 2), this_host()) == ""


def test_a_device_of_another_kind_is_no_machine(system):
    system()
    assert machine_of(nn.Linear(2, 2, device="meta"), this_host()) == ""


def test_accelerators_are_counted_by_name_and_threads_do_not_matter_beside_them(system, monkeypatch):
    system()
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    model = nn.Linear(2, 2)
    on_cuda = [SimpleNamespace(device=torch.device("cuda", index)) for index in (0, 1)]
    monkeypatch.setattr(model, "parameters", lambda: on_cuda)
    assert machine_of(model, this_host()) == "2 x NVIDIA H100 + AMD EPYC"


def test_it_is_told_with_the_model_once_and_again_when_the_model_moves(watch_model, monkeypatch, system):
    system()
    model = causal("llama")
    seen = watch_model(model)
    [first] = seen.attached
    assert first.machine == machine_of(model, this_host()) != ""
    torch.set_num_threads(2)  # the thread that polls may have another word on it than the one that attached
    seen.probe._introduce(again=True)
    assert len(seen.attached) == 1
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    on_cuda = [SimpleNamespace(device=torch.device("cuda", 0))]
    monkeypatch.setattr(model, "parameters", lambda: on_cuda)
    monkeypatch.setattr(model, "buffers", lambda: [])
    seen.probe._introduce(again=True)
    assert seen.attached[-1].machine == "1 x NVIDIA H100 + AMD EPYC"
