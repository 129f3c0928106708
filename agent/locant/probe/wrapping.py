"""Whether a module's forward bends the index of a table back into it, so that an overlong request raises nothing."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator

from locant.probe.bare import BareTable

_CLAMPS = frozenset({"clamp", "clamp_", "clip", "clip_"})
_BENDING = frozenset({"clamp_max", "clamp_max_", "remainder", "fmod", "minimum"})


def bends_index(table: BareTable) -> bool:
    """Whether the owner's forward looks rows up by an index that a modulo or a clamp has passed over.

    Read from its source: False where there is none to read. A slice needs no bending: it raises by itself.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(type(table.owner).forward)))
    except (OSError, TypeError, SyntaxError):
        return False
    bent = set(_names(tree))
    attribute = table.name.rpartition(".")[2]
    return any(_bent(index, bent) for index in _indices(tree, attribute))


def _indices(tree: ast.AST, attribute: str) -> list[ast.expr]:
    """What `self.attribute[...]` is subscripted with."""
    return [
        node.slice
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == attribute
    ]


def _bent(index: ast.expr, bent: set[str]) -> bool:
    """An index with a bend in it, or one that is a name that got one; no slice of either."""
    keys = index.elts if isinstance(index, ast.Tuple) else [index]
    return any(
        not isinstance(key, ast.Slice) and (_bends(key) or (isinstance(key, ast.Name) and key.id in bent))
        for key in keys
    )


def _names(tree: ast.AST) -> Iterator[str]:
    """Names that a forward binds to something bent."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _bends(node.value):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mod) and isinstance(node.target, ast.Name):
            yield node.target.id


def _bends(expression: ast.expr) -> bool:
    return any(
        (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod)) or (isinstance(node, ast.Call) and _cuts(node))
        for node in ast.walk(expression)
    )


def _cuts(call: ast.Call) -> bool:
    """Whether a call has an upper bound: a clamp to at least zero keeps nothing below the table's end."""
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in _CLAMPS:
        method = not (isinstance(call.func.value, ast.Name) and call.func.value.id == "torch")
        return len(call.args) + method > 2 or any(keyword.arg == "max" for keyword in call.keywords)
    return call.func.attr in _BENDING
