"""From the JSON that grafanalib writes (schemaVersion 12) to the classic model of today's Grafana."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

Json = dict[str, Any]

SCHEMA_VERSION = 42
_OLD_BOARD_KEYS = frozenset({"__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style"})
_OLD_PANEL_KEYS = frozenset({"cacheTimeout", "editable", "error", "height", "hideTimeOverride", "minSpan", "span"})
_ROW_KEYS = frozenset({"collapsed", "gridPos", "id", "panels", "repeat", "title", "type"})
_OLD_TARGET_KEYS = frozenset({"intervalFactor", "metric", "query", "step", "target"})
_OLD_VARIABLE_KEYS = frozenset({"auto", "auto_count", "auto_min", "tagValuesQuery", "tagsQuery", "useTags"})
_OLD_PICKER_KEYS = frozenset({"time_options"})
_ALL = "$__all"


def modernise(board: Json) -> Json:
    """A new board, current in every part; the argument is left as it is. Applying it twice changes nothing more.

    Nulls and obsolete keys go; panels get ids and their queries refIds where they are missing or not unique;
    thresholds get a base step with the null that Grafana asks for; variables get a current value.
    Raises ValueError for a board that is still laid out in `rows`.
    """
    if board.get("rows"):
        raise ValueError("the dashboard has `rows`, which Grafana dropped in version 5; place `panels` instead")
    new = _without(_pruned(board), _OLD_BOARD_KEYS)
    new["schemaVersion"] = SCHEMA_VERSION
    new["panels"] = list(_panels(new.get("panels", []), set()))
    new["timepicker"] = _without(new.get("timepicker", {}), _OLD_PICKER_KEYS)
    new["templating"] = {"list": [_variable(item) for item in new.get("templating", {}).get("list", [])]}
    new["annotations"] = {"list": new.get("annotations", {}).get("list", [])}
    return new


def _pruned(value: Any) -> Any:
    """The value without nulls at any depth; the null of a threshold's base is a value of its own and stays."""
    if isinstance(value, dict):
        keep = "value" if "color" in value else None
        return {key: _pruned(item) for key, item in value.items() if item is not None or key == keep}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _without(mapping: Json, keys: Iterable[str]) -> Json:
    unwanted = frozenset(keys)
    return {key: value for key, value in mapping.items() if key not in unwanted}


def _panels(panels: list[Json], taken: set[int]) -> Iterator[Json]:
    """Panels and rows, those inside collapsed rows included; `taken` collects the ids given so far."""
    for panel in panels:
        identity = panel.get("id")
        if identity is None or identity in taken:
            identity = max(taken, default=0) + 1
        taken.add(identity)
        if panel.get("type") == "row":
            inside = list(_panels(panel.get("panels", []), taken))
            yield {**_without(panel, panel.keys() - _ROW_KEYS), "id": identity, "panels": inside}
        else:
            yield _panel(panel, identity)


def _panel(panel: Json, identity: int) -> Json:
    new = {**_without(panel, _OLD_PANEL_KEYS), "id": identity}
    new["targets"] = list(_targets(panel.get("targets", [])))
    defaults = new.get("fieldConfig", {}).get("defaults", {})
    if "thresholds" in defaults:
        thresholds = {**defaults["thresholds"], "steps": _steps(defaults["thresholds"].get("steps", []))}
        new["fieldConfig"] = {**new["fieldConfig"], "defaults": {**defaults, "thresholds": thresholds}}
    return new


def _targets(targets: list[Json]) -> Iterator[Json]:
    given = {target.get("refId") for target in targets}
    free = (letters for letters in map(_letters, count()) if letters not in given)
    used: set[str] = set()
    for target in targets:
        name = target.get("refId", "")
        name = next(free) if not name or name in used else name
        used.add(name)
        yield {**_without(target, _OLD_TARGET_KEYS), "refId": name}


def _letters(index: int) -> str:
    """A, B, … Z, AA, AB, … as Grafana's editor letters its queries."""
    head, last = divmod(index, 26)
    return (_letters(head - 1) if head else "") + chr(ord("A") + last)


def _steps(steps: list[Json]) -> list[Json]:
    """Rising steps over a base. grafanalib writes the base's null as "null" or ""; some panels have no base at all."""
    numbers = [step for step in steps if isinstance(step.get("value"), int | float)]
    bases = [step for step in steps if not isinstance(step.get("value"), int | float)]
    base = bases[0]["color"] if bases else "green"
    rising = sorted(numbers, key=lambda step: float(step["value"]))
    return [{"color": base, "value": None}, *({"color": s["color"], "value": s["value"]} for s in rising)]


def _variable(variable: Json) -> Json:
    """The variable with a current value: its default, else everything; else none, and Grafana takes the first."""
    new = _without(variable, _OLD_VARIABLE_KEYS)
    current = _without(new.pop("current", {}), {"tags"})
    if current.get("value") not in (None, ""):
        new["current"] = current
    elif new.get("includeAll"):
        multi = bool(new.get("multi"))
        new["current"] = {"selected": True, "text": ["All"] if multi else "All", "value": [_ALL] if multi else _ALL}
    return new
