"""From specs to files, and the files to disk: all of them, or none."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from locant_slo.errors import ConfigError, MachineError
from locant_slo.spec import Spec

_LOADED = ("rules", "kubernetes", "rollouts")
"""Folders that a Prometheus or a cluster reads whole."""


def compile_all(specs: Sequence[Spec]) -> dict[str, str]:
    """Every generated file by its path below the output folder: rules, tests, routing, boards, rollouts, runbooks."""
    from locant_alerts.alertmanager import build_alertmanager
    from locant_alerts.custom_resource import build_custom_resources
    from locant_alerts.objective_runbooks import objective_runbooks
    from locant_alerts.rule_tests import build_rule_tests
    from locant_alerts.rules import build_rules
    from locant_alerts.runbooks import runbooks

    files = {"alertmanager.yaml": build_alertmanager(specs)}
    for spec in specs:
        rules = f"{spec.service}.rules.yaml"
        files[f"rules/{rules}"] = build_rules(spec)
        files[f"rules/{spec.service}.test.yaml"] = build_rule_tests(spec, rules)
        for number, text in enumerate(build_custom_resources(spec), start=1):
            files[f"kubernetes/{spec.service}-rules-{number}.yaml"] = text
        files |= _rollouts(spec)
        files |= {f"runbooks/{name}": text for name, text in objective_runbooks(spec).items()}
    files |= _dashboards(specs)
    files |= {f"runbooks/{name}": text for name, text in runbooks().items()}
    return dict(sorted(files.items()))


def _rollouts(spec: Spec) -> dict[str, str]:
    from locant_alerts.rollouts.argo import build_argo
    from locant_alerts.rollouts.flagger import build_canary_analysis, build_metric_templates

    files = {"argo": build_argo(spec), "flagger-canary-analysis": build_canary_analysis(spec)}
    files |= {f"flagger-{name}": text for name, text in build_metric_templates(spec).items()}
    return {f"rollouts/{spec.service}-{name}.yaml": text for name, text in files.items() if text}


def _dashboards(specs: Sequence[Spec]) -> dict[str, str]:
    from locant_dashboards import build

    boards = ((f"dashboards/{spec.service}-{name}", board) for spec in specs for name, board in build(spec).items())
    return {path: json.dumps(board, indent=2, ensure_ascii=False) + "\n" for path, board in boards}


def left_behind(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Generated rules and objects in the folder that `files` has no more: whoever loads the folder loads them too."""
    from locant_alerts.text import HEADER

    found = (path for part in _LOADED for path in sorted((folder / part).glob("*.yaml")) if path.is_file())
    strangers = [path for path in found if path.relative_to(folder).as_posix() not in files]
    return [path for path in strangers if path.read_bytes().startswith(HEADER.encode())]


def write_all(files: Mapping[str, str], folder: Path) -> None:
    """Write `files` below `folder`; on any failure every file there is as it was.

    The new files are first written whole, beside the folder's content and on the same disk; then each takes its
    place by a rename. Raises MachineError with the path and the reason.
    """
    for path in files:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ConfigError(f"{path}: a generated file must stay below {folder}")
    made = _missing_folders({(folder / path).parent for path in files} | {folder})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".locant-", dir=folder) as staging:
            _stage(files, Path(staging) / "new")
            _replace(files, folder, Path(staging))
    except OSError as error:
        _remove_empty(made)
        where = error.filename if error.filename and ".locant-" not in str(error.filename) else folder
        raise MachineError(
            f"{where}: cannot be written ({error.strerror or error}); nothing was changed; choose another folder"
        ) from error


def _stage(files: Mapping[str, str], staging: Path) -> None:
    for path, text in files.items():
        target = staging / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def _replace(files: Mapping[str, str], folder: Path, staging: Path) -> None:
    """Rename every new file into place, keeping what stood there until all are in."""
    done: list[str] = []
    try:
        for path in files:
            target, kept = folder / path, staging / "old" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir() and not target.is_symlink():
                raise IsADirectoryError(21, "a folder stands where a file belongs", str(target))
            if target.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(target, kept)
            (staging / "new" / path).replace(target)
            done.append(path)
    except BaseException:
        for path in reversed(done):
            _restore(folder / path, staging / "old" / path)
        raise


def _restore(target: Path, kept: Path) -> None:
    if kept.exists():
        kept.replace(target)
    else:
        target.unlink(missing_ok=True)


def _missing_folders(folders: set[Path]) -> list[Path]:
    """Folders that do not exist yet, deepest first."""
    missing = {folder for start in folders for folder in (start, *start.parents) if not folder.exists()}
    return sorted(missing, key=lambda folder: len(folder.parts), reverse=True)


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
