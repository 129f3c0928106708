"""`locant demo`: puts stage, servers and screen together, and says at the end what was proven."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from types import FrameType

from rich.console import Console

from locant.demo import screen as show
from locant.demo.backends import Backends, Programs, find_programs
from locant.demo.faults import DRILLS
from locant.demo.screen import Screen
from locant.demo.verdict import Verdict, strays

GENERATED = Path("out") / "demo"
_INTERRUPTED = 130


def run_demo(*, keep: bool = False, fast: bool = False, plain: bool = False, console: Console | None = None) -> int:
    """Run it; 0 when every fault was found and its alerts fired, 1 when not, 130 after Ctrl-C.

    Raises LocantError when this machine lacks something without which there is nothing to show.
    """
    console = console or Console()
    with ExitStack() as stack:
        stack.enter_context(_terminate_as_interrupt())
        screen = stack.enter_context(Screen(console, plain=plain))
        try:
            return _play(screen, stack, keep=keep, fast=fast)
        except KeyboardInterrupt:
            screen.say("stopped; nothing is left running")
            return _INTERRUPTED


def _play(screen: Screen, stack: ExitStack, *, keep: bool, fast: bool) -> int:
    screen.say("[bold]locant demo[/bold]: two real models, two real faults, real alerts")
    screen.say("  loading torch and the models ...")
    from locant.demo.director import Director, Pace
    from locant.demo.stage import Stage

    pace = Pace(10.0, 6.0, 40.0) if fast else Pace(20.0, 15.0, 45.0)
    files = _generate()
    programs = find_programs()
    stage = stack.enter_context(Stage())
    screen.say(f"  serving; metrics at {stage.metrics_url}")
    screen.say(f"  rules, routing, dashboards and runbooks lie in {GENERATED.resolve()}")
    backends = _start(programs, stack, stage.metrics_url, files, screen)
    director = Director(stage, backends, screen, pace)
    false_alarms = director.watch_calm()
    screen.say(
        f"  healthy traffic: {'nothing found' if not false_alarms else 'FALSE ALARMS: ' + ', '.join(false_alarms)}"
    )
    verdicts = []
    for drill in DRILLS:
        screen.say(f"  [bold]{drill.fault.value}[/bold] on the {drill.bed} engine\n    {drill.story}")
        verdicts.append(director.run(drill))
        screen.say(_said(verdicts[-1], alerting=backends is not None))
        screen.print(show.indicators(verdicts[-1].view.before, verdicts[-1].view.now))
        if drill is not DRILLS[-1]:
            director.recover(drill.bed)
    last = verdicts[-1].view
    screen.print(show.findings(last.findings))
    if backends is not None:
        screen.print(show.alerts(last.alerts))
    false_alarms += strays(last.findings, DRILLS)
    proven = not false_alarms and all(verdict.proven(alerting=backends is not None) for verdict in verdicts)
    if false_alarms:
        screen.say(f"[red]false alarms: {', '.join(false_alarms)}[/red]")
    screen.say("[bold green]proven[/bold green]" if proven else "[bold red]NOT proven: see above[/bold red]")
    if keep:
        director.idle()
    return 0 if proven else 1


def _generate() -> Mapping[str, str]:
    """Everything that the demo's spec compiles to, also written to disk; by path."""
    from locant.generate import compile_all, write_all
    from locant_slo.load import parse_specs

    text = resources.files("locant.demo").joinpath("slo.yaml").read_text(encoding="utf-8")
    files = compile_all(parse_specs(text, "slo.yaml"))
    write_all(files, GENERATED)
    return files


def _start(
    programs: Programs | str, stack: ExitStack, metrics_url: str, files: Mapping[str, str], screen: Screen
) -> Backends | None:
    if isinstance(programs, str):
        screen.say(f"  [yellow]{programs}.[/yellow] What follows is the agent's own view.")
        return None
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="locant-demo-")))
    rules = {Path(name).name: text for name, text in files.items() if name.endswith(".rules.yaml")}
    target = metrics_url.removeprefix("http://").removesuffix("/metrics")
    backends = stack.enter_context(
        Backends(programs, folder, targets=[target], rules=rules, alertmanager=files["alertmanager.yaml"])
    )
    screen.say(f"  Prometheus at {backends.prometheus_url}, Alertmanager at {backends.alertmanager_url}")
    return backends


def _said(verdict: Verdict, *, alerting: bool) -> str:
    parts = [_after("found", verdict.found_after)]
    if alerting:
        parts += [_after("fault alert fired", verdict.alert_after), _after("burn alert fired", verdict.burn_after)]
    lines = ["; ".join(parts)]
    if verdict.harm is not None:
        lines.append(f"the canary's answers: {verdict.harm[0]:.1%} right → {verdict.harm[1]:.1%}")
    return "\n".join(f"    {line}" for line in lines)


def _after(what: str, seconds: float | None) -> str:
    return f"[red]NOT {what}[/red]" if seconds is None else f"{what} after {seconds:.1f} s"


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does, so that children and folders go too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGHUP)
    earlier = [(number, signal.signal(number, interrupt)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in earlier:
            signal.signal(number, handler)
