"""`locant run`: start a program so that its transformers models are watched, without a change to its code."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from locant.instrument import VERSION_VARIABLE
from locant.watching import SOCKET_VARIABLE
from locant_slo.errors import MachineError

SHIM = Path(__file__).parent / "shim"
"""The folder in front of PYTHONPATH: its `transformers` starts the watching and hands over to the real one."""


def environment(
    inherited: Mapping[str, str], *, socket: str | None = None, listen: str | None = None, version: str | None = None
) -> dict[str, str]:
    """The program's environment: what is inherited, and what the watching needs."""
    path = [str(SHIM), *(entry for entry in inherited.get("PYTHONPATH", "").split(os.pathsep) if entry != str(SHIM))]
    told = {SOCKET_VARIABLE: socket, "LOCANT_WEB_LISTEN_ADDRESS": listen, VERSION_VARIABLE: version}
    chosen = {name: value for name, value in told.items() if value is not None}
    return {**inherited, **chosen, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def become(
    command: Sequence[str],
    variables: Mapping[str, str],
    execute: Callable[..., object] = os.execvpe,
) -> None:
    """Turn this process into the program: signals, exit status and process id are its own. Returns never.

    Raises MachineError when it cannot be started.
    """
    try:
        execute(command[0], command, variables)
    except OSError as error:
        raise MachineError(f"{command[0]}: cannot be run ({error.strerror}); name a program on PATH") from error
