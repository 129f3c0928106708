"""The errors a user can meet, as one tree.

LocantError
├── ConfigError        a file or a flag says something that cannot hold
│   └── SpecError      ... in an SLO spec; carries every problem found, each with its path
├── ModelError         a model that cannot be watched, and why
└── MachineError       the machine refuses: a port in use, a missing file, a missing program

Every message is a sentence with the path, the value and the cure. The command line prints it and exits with 2.
"""

from __future__ import annotations


class LocantError(Exception):
    """Root of every error that Locant raises on purpose."""


class ConfigError(LocantError):
    """A configuration that cannot hold."""


class SpecError(ConfigError):
    """An SLO spec that cannot hold; `problems` has one sentence for each fault, with its path."""

    def __init__(self, source: str, problems: tuple[str, ...]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


class ModelError(LocantError):
    """A model that cannot be watched."""


class MachineError(LocantError):
    """Something outside the program is missing or taken."""
