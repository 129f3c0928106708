"""What `locant findings show` answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from locant.show.page import page
from locant.show.picture import picture
from locant.show.text import text
from locant.sidecar.kept.passes import KeptPass, to_bytes
from locant.sidecar.kept.store import open_pass, read_store
from locant_slo.errors import ConfigError, MachineError

FORMS: dict[str, Callable[[KeptPass], bytes]] = {
    ".html": lambda kept: page(kept).encode(),
    ".png": picture,
    ".safetensors": to_bytes,
}


def show_entries(store: Path) -> str:
    """What a store holds, the newest first, a line each. Raises MachineError when it cannot be read."""
    with read_store(store) as held:
        lines = [
            f"{entry.finding}  {_moment(entry.time)}  {entry.severity}  {entry.check}  {entry.model} "
            f"{entry.model_version}  {entry.layers} layers"
            for entry in held.entries()
        ]
    return "\n".join(lines) or "nothing is kept"


def show_pass(store: Path, finding: str, output: Path | None) -> str:
    """The newest pass of a finding as text, or where it was written.

    Raises ConfigError for an unknown finding or ending, MachineError when a file cannot be read or written.
    """
    with read_store(store) as held:
        kept = open_pass(held, finding)
    if kept is None:
        raise ConfigError(f"{store}: keeps no pass of finding {finding!r}; `locant findings show` lists what it keeps")
    if output is None:
        return text(kept)
    form = FORMS.get(output.suffix)
    if form is None:
        raise ConfigError(f"{output}: {output.suffix!r} is no form of a pass; choose one of {', '.join(FORMS)}")
    _write(output, form(kept))
    return f"wrote {output}"


def _write(path: Path, content: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written ({error.strerror}); name a file in a folder of yours") from error


def _moment(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
