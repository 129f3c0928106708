"""What the world does to an agent or a model, at any scale: small in the suite, full in benchmarks/agent_chaos.py."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chaos_stage import Stage, Verdict

from locant_slo.catalogue import metrics
from support.otlp_receiver import otlp_receiver
from support.real_servers import eventually, free_port

JUMPING = """
import sys, time
real, path = time.time, sys.argv.pop(1)
def jumping():
    with open(path) as file:
        return real() + float(file.read() or 0)
time.time = jumping
from locant.cli import main
main()
"""


@dataclass(frozen=True)
class Scale:
    """How much of it."""

    passes: int = 30
    stopped_seconds: float = 3.0
    connections: int = 1000
    garbage_bytes: int = 16 * 2**20
    failed_pushes: int = 20
    push_seconds: float = 0.1


FULL = Scale(200, 60.0, 10_000, 2**30, 120, 0.25)


@dataclass
class Theatre:
    """Where a scenario is played: a folder, how much of it, and the stage that it opens."""

    folder: Path
    scale: Scale
    opened: Stage | None = None

    def stage(self, config: str = "", **options: object) -> Stage:
        """An agent with this configuration, and a model in front of it."""
        path = self.folder / "locant.yaml"
        path.write_text(config)
        self.opened = Stage(self.folder, f"--config.file={path}", **options)  # type: ignore[arg-type]
        return self.opened


Scenario = Callable[[Theatre], None]


def play(scenario: Scenario, folder: Path, scale: Scale) -> Verdict:
    """Play it and say what became of it; nothing is left running."""
    theatre = Theatre(folder, scale)
    try:
        scenario(theatre)
        assert theatre.opened is not None
        return theatre.opened.verdict()
    finally:
        if theatre.opened is not None:
            theatre.opened.close()


def agent_killed(on: Theatre) -> None:
    """kill -9 under load, and another agent at the same socket."""
    stage = on.stage()
    with stage.storm(on.scale.passes):
        stage.agent.kill()
        stage.traffic.goes_on(on.scale.passes)
        stage.start_agent()
    stage.recovers(on.scale.passes)
    stage.settle(exact=False)
    assert stage.traffic.dropped["disconnected"] > 0


def socket_deleted(on: Theatre) -> None:
    """The socket's file removed under the running agent."""
    stage = on.stage()
    with stage.storm(on.scale.passes):
        Path(stage.agent.socket).unlink()
        stage.traffic.goes_on(on.scale.passes)
        eventually(Path(stage.agent.socket).exists)
    stage.recovers(on.scale.passes)
    stage.settle(exact=True)


def disk_full(on: Theatre) -> None:
    """No byte more can be written: the state fails and is counted, the rest goes on; then there is room again."""
    state = on.folder / "state"
    stage = on.stage(f"state_path: {state}\nstate_interval_seconds: 0.2\n")
    process = stage.agent.process.pid
    _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)

    def failures(outcome: str = "error") -> float:
        return stage.agent.value(metrics.EXPORTS, exporter="state", outcome=outcome) or 0.0

    with stage.storm(on.scale.passes):
        eventually(lambda: failures("ok") > 0 and state.exists())
        resource.prlimit(process, resource.RLIMIT_FSIZE, (64, hard))
        eventually(lambda: failures() >= 3)
        kept = state.read_bytes()
        resource.prlimit(process, resource.RLIMIT_FSIZE, (hard, hard))
        saved = failures("ok")
        eventually(lambda: failures("ok") > saved)
    assert kept.startswith(b"locant-state/v1 ")
    stage.note = f"{failures():.0f} failed saves counted, the last good file kept"
    stage.recovers(on.scale.passes)
    stage.settle(exact=True)


def agent_stopped(on: Theatre) -> None:
    """SIGSTOP, and SIGCONT after a while."""
    stage = on.stage()
    with stage.storm(on.scale.passes):
        stage.agent.send_signal(signal.SIGSTOP)
        until = time.monotonic() + on.scale.stopped_seconds
        while time.monotonic() < until:
            stage.traffic.goes_on(1)
        stage.agent.send_signal(signal.SIGCONT)
    stage.note = f"stopped for {on.scale.stopped_seconds:.0f} s"
    stage.recovers(on.scale.passes)
    stage.settle(exact=True)


def crowd(on: Theatre) -> None:
    """Thousands of connections, all open at once as far as the kernel lets them, that say nothing."""
    stage = on.stage()
    peers: list[socket.socket] = []
    with stage.storm(on.scale.passes):
        most = 0
        for number in range(on.scale.connections):
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            peer.setblocking(False)
            peer.connect_ex(stage.agent.socket)
            peers.append(peer)
            if number % 500 == 0:
                stage.traffic.goes_on(1)
                most = max(most, stage.agent.descriptors())
        most = max(most, stage.agent.descriptors())
        for peer in peers:
            peer.close()
    assert most < 150
    stage.note = f"{len(peers)} open at once, the agent never held more than {most} descriptors"
    stage.recovers(on.scale.passes)
    stage.settle(exact=False)


def garbage(on: Theatre) -> None:
    """Random bytes, and frames that look right and are not."""
    stage = on.stage()
    generator = random.Random(11)
    rubbish = [generator.randbytes(generator.randrange(1, 120_000)) for _ in range(30)]
    rubbish += [b"LCNT\x01\x01" + one for one in rubbish[:10]]
    sent = 0
    with stage.storm(on.scale.passes):
        before = stage.agent.value(metrics.AGENT_MEMORY) or 0.0
        began = time.monotonic()
        while sent < on.scale.garbage_bytes:
            sent += _throw(rubbish, stage.agent.socket)
        took = time.monotonic() - began
    stage.recovers(on.scale.passes)
    stage.settle(exact=False)
    grown = (stage.agent.value(metrics.AGENT_MEMORY) or 0.0) - before
    assert grown < 32 * 2**20
    refused = stage.agent.value(metrics.OBSERVATIONS_DROPPED, reason="decode_error") or 0.0
    assert refused > 0
    stage.note = f"{sent / 2**20:.0f} MiB in {took:.0f} s, {refused:.0f} frames refused, {grown / 2**20:+.1f} MiB held"


def _throw(rubbish: list[bytes], path: str) -> int:
    """What one connection takes until it is hung up on."""
    sent = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as evil, contextlib.suppress(OSError):
        evil.settimeout(5)
        evil.connect(path)
        for data in rubbish:
            sent += evil.send(data)
    return sent


def clocks_jump(on: Theatre) -> None:
    """The agent's wall clock and the model's, an hour and a year to and fro, independently."""
    offset = on.folder / "offset"
    offset.write_text("0")
    ours = [0.0]
    runner = (sys.executable, "-c", JUMPING, str(offset))
    stage = on.stage(program=runner, clock=lambda: time.time() + ours[0])
    with stage.storm(on.scale.passes):
        for agents, models in ((3600, 0), (-3600, 86400 * 365), (0, -86400 * 365), (86400 * 365, 0), (0, 0)):
            _write(offset, str(agents))
            ours[0] = models
            stage.traffic.goes_on(on.scale.passes)
            eventually(stage.agent.ready)
    stage.recovers(on.scale.passes)
    stage.settle(exact=True)


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def _child(stage: Stage, work: Callable[[], None]) -> int:
    """Run `work` in a fork of the model's process; its wait status."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def _passes_in_child(stage: Stage, count: int) -> None:
    import torch

    model, remote = stage.traffic._model, stage.traffic.remote
    with torch.no_grad():
        for prompt, right in list(zip(stage.traffic._prompts, stage.traffic._right, strict=True)) * count:
            assert torch.equal(model(prompt).logits, right)
    assert remote.host.flush(10.0)
    eventually(lambda: remote.host.pump() is not None and remote.connected)


def model_forked(on: Theatre) -> None:
    """The model's process forks under load; each child answers right and reports for itself."""
    stage = on.stage()
    with stage.storm(on.scale.passes):
        for _ in range(4):
            assert _child(stage, lambda: _passes_in_child(stage, 1)) == 0
    stage.recovers(on.scale.passes)
    stage.traffic.rest()
    eventually(lambda: stage.agent.passes("prefill") + stage.agent.dropped() >= stage.traffic.passes + 4 * 16)


def model_killed(on: Theatre) -> None:
    """A model's process is killed in the middle of a pass; the others are not disturbed."""
    stage = on.stage()

    def die() -> None:
        _passes_in_child(stage, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    with stage.storm(on.scale.passes):
        assert os.WTERMSIG(_child(stage, die)) == signal.SIGKILL
    stage.recovers(on.scale.passes)
    stage.settle(exact=False)
    assert stage.agent.value(metrics.LAST_OBSERVATION, model="chat") is not None


def model_out_of_memory(on: Theatre) -> None:
    """A model's process at its memory limit: the probe's own needs fail, the model's answers do not change."""
    stage = on.stage()

    def starve() -> None:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + 24 * 2**20, resource.RLIM_INFINITY))
        ballast = []
        with contextlib.suppress(MemoryError):
            while True:
                ballast.append(bytearray(2**16))
        del ballast[-64:]
        _passes_in_child(stage, 2)

    with stage.storm(on.scale.passes):
        assert _child(stage, starve) == 0
    stage.recovers(on.scale.passes)
    stage.settle(exact=False)


def configuration_broken(on: Theatre) -> None:
    """Reloads of a broken file, by signal and over HTTP: the old one stays, and the next good one is taken."""
    stage = on.stage("latency_target_seconds: 0.2\n")
    path = on.folder / "locant.yaml"
    with stage.storm(on.scale.passes):
        for broken in ("latency_target_seconds: soon\n", "{", "\x00", "- a\n", "nonsense: 1\n"):
            path.write_text(broken)
            stage.agent.send_signal(signal.SIGHUP)
            assert _reload(stage) == 500
            assert stage.agent.ready()
        path.write_text("latency_target_seconds: 0.3\n")
        assert _reload(stage) == 200
    stage.recovers(on.scale.passes)
    stage.settle(exact=True)


def _reload(stage: Stage) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{stage.agent.port}/-/reload", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def exporter_down(on: Theatre) -> None:
    """Nobody answers at the OTLP endpoint for as many pushes as an hour has; then somebody does."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}/v1/metrics"
    stage = on.stage(f"otlp_endpoint: {endpoint}\notlp_interval_seconds: {on.scale.push_seconds}\n")

    def pushes(outcome: str) -> float:
        return stage.agent.value(metrics.EXPORTS, exporter="otlp", outcome=outcome) or 0.0

    with stage.storm(on.scale.passes):
        memory = stage.agent.value(metrics.AGENT_MEMORY) or 0.0
        eventually(lambda: pushes("error") >= on.scale.failed_pushes, 300.0)
        grown = (stage.agent.value(metrics.AGENT_MEMORY) or 0.0) - memory
        with otlp_receiver(port) as receiver:
            eventually(lambda: pushes("ok") > 0 and receiver.metrics)
    assert grown < 16 * 2**20
    stage.note = f"{pushes('error'):.0f} failed pushes counted, {grown / 2**20:+.1f} MiB held"
    stage.recovers(on.scale.passes)
    stage.settle(exact=True)


SCENARIOS: tuple[Scenario, ...] = (
    *(agent_killed, socket_deleted, disk_full, agent_stopped, crowd, garbage, clocks_jump),
    *(model_forked, model_killed, model_out_of_memory, configuration_broken, exporter_down),
)
