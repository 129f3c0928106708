"""YAML documents as plain values: safe, bounded after aliases are followed, and loud about keys that stand twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

MOST_VALUES = 200_000


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader that remembers duplicate keys; YAML forbids them and PyYAML lets the last one win."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.duplicates: list[str] = []

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and first.setdefault(key.value, line) != line:
                self.duplicates.append(
                    f"line {line}: {key.value!r} stands here and in line {first[key.value]}; keep one of them"
                )
        return node


def documents(text: str) -> list[tuple[object, tuple[str, ...]]]:
    """Each document with the sentences about its duplicate keys. Raises yaml.YAMLError when `text` is no YAML."""
    try:
        return list(_documents(text))
    except (RecursionError, ValueError, AttributeError) as error:  # the last one: PyYAML on `!!timestamp x`
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise yaml.YAMLError(reason) from error


def _documents(text: str) -> Iterator[tuple[object, tuple[str, ...]]]:
    loader = _Loader(text)
    try:
        while loader.check_data():  # type: ignore[no-untyped-call]  # missing from the stubs
            content = loader.get_data()
            _refuse_bombs(content)
            duplicates, loader.duplicates = tuple(loader.duplicates), []
            if content is not None:
                yield content, duplicates
    finally:
        loader.dispose()


def _refuse_bombs(content: object) -> None:
    """A few lines of nested aliases stand for billions of values: count as a reader would meet them."""
    waiting, seen = [content], 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise yaml.YAMLError(f"its aliases stand for more than {MOST_VALUES} values")
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
