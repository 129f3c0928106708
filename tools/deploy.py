"""Write the rendered files below `deploy/`; with --check, refuse a difference instead."""

from __future__ import annotations

import sys
from pathlib import Path

from locant.deployment import deployment_files

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"


def main() -> int:
    """Exit status: 1 when --check finds a difference."""
    check, different = "--check" in sys.argv, []
    for path, text in deployment_files().items():
        target = DEPLOY / path
        if target.exists() and target.read_text() == text:
            continue
        different.append(path)
        if not check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    sys.stdout.write("".join(f"{'differs' if check else 'written'}: deploy/{path}\n" for path in different))
    return int(check and bool(different))


if __name__ == "__main__":
    sys.exit(main())
