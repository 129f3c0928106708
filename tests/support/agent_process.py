"""`locant agent` as a real process, and the traffic of a model under it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

from locant.observation import ForwardFacts, ModelAttached, ModelProfile, RowFacts
from locant.wire.sender import Sender
from locant_slo.catalogue import Metric, metrics
from support.real_servers import eventually, free_port

PROFILE = ModelProfile(
    "llama", "rope", "decoder", False, 0, 4096, None, 0, None, 0, None, True, 2, 4, 16, 1024, "abc", 100
)
ATTACHED = ModelAttached(1, 0.0, "chat", "v1", PROFILE)
ROW = RowFacts(*[0] * len(RowFacts._fields))._replace(real=1, last_position=5, first_position=5, cache_tokens=5)


def decode_pass(number: int) -> ForwardFacts:
    """One decode step of the model that `ATTACHED` introduces."""
    return ForwardFacts(1, 0.0, number, "decode", 0.001, 1, (ROW,), cache_id=1)


class AgentProcess:
    """A running agent with its addresses."""

    def __init__(self, folder: Path, *flags: str, program: tuple[str, ...] = ()) -> None:
        self.socket = str(folder / "agent.sock")
        self.port = free_port()
        self.log = folder / "agent.log"
        start = program or (sys.executable, "-m", "locant.cli")
        command = [*start, "agent", f"--web.listen-address=127.0.0.1:{self.port}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, f"--socket.path={self.socket}", *flags], stdout=log, stderr=log)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
            return str(response.read().decode())

    def ready(self) -> str:
        try:
            return self.get("/-/ready")
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return ""

    def values(self, metric: Metric, **labels: str) -> list[float]:
        """Every sample of a metric whose labels are these, whatever its others."""
        wanted = {f'{name}="{value}"' for name, value in labels.items()}
        lines = (line for line in self.get("/metrics").splitlines() if line.startswith(metric.prometheus_name))
        return [float(line.rsplit(" ", 1)[1]) for line in lines if all(pair in line for pair in wanted)]

    def value(self, metric: Metric, **labels: str) -> float | None:
        """The first such sample, None without one."""
        return next(iter(self.values(metric, **labels)), None)

    def passes(self, phase: str = "decode") -> float:
        """Passes of one phase counted so far."""
        return self.value(metrics.FORWARD_PASSES, phase=phase, outcome="ok", model="chat") or 0.0

    def dropped(self) -> float:
        """Everything counted as lost."""
        return sum(self.values(metrics.OBSERVATIONS_DROPPED))

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


def started(folder: Path, *flags: str, program: tuple[str, ...] = ()) -> AgentProcess:
    """An agent that is ready. `program`: what runs `locant` instead of its module."""
    agent = AgentProcess(folder, *flags, program=program)
    try:
        eventually(agent.ready)
    except BaseException:
        agent.kill()
        raise
    return agent


class Load:
    """A model's traffic on a thread of its own. `offered` must equal what arrived and what was dropped, together."""

    def __init__(self, socket: str, batch: int = 4) -> None:
        self.sender = Sender(socket, jitter=lambda low, high: 0.01)
        self.offered = self.taken = self.rounds = 0
        self.error: BaseException | None = None
        self._batch = batch
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Load:
        self.offered += 1
        self.taken += self.sender.send([ATTACHED])
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            while not self._stop.wait(0.002):
                passes = [decode_pass(self.offered + n) for n in range(self._batch)]
                self.offered += len(passes)
                self.taken += self.sender.send(passes)
                self.sender.heartbeat()
                self.rounds += 1
        except BaseException as error:
            self.error = error

    def goes_on(self, rounds: int = 50) -> None:
        """Returns once that many more batches were sent: whatever happened to the agent, nothing blocked."""
        goal = self.rounds + rounds
        eventually(lambda: self.rounds >= goal or self.error)
        assert self.error is None

    def rest(self) -> None:
        """End the traffic; every observation went out or was counted."""
        self._stop.set()
        self._thread.join(10)
        assert self.error is None
        assert self.offered == self.taken + sum(self.sender.dropped.values())

    def beat(self) -> bool:
        """Keep saying what was lost, as a probe does."""
        self.sender.heartbeat()
        return True

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self.sender.close()
