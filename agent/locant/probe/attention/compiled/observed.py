"""A copy of a graph as the tracer hands it to its compiler, in which attention calls are followed by observations."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx

from locant.probe.attention.compiled.operation import operation
from locant.probe.attention.compiled.site import Site, number_place, tensor_place
from locant.probe.attention.modules import is_cross_name, number_in
from locant.probe.families import SIDE_TOWERS

_FUNCTIONS = ("scaled_dot_product_attention", "_native_multi_head_attention", "_transformer_encoder_layer_fwd")
_TORCH = (None, "torch", "torch._C._nn", "torch.nn.functional")
"""Where torch says that they are from."""
_KEPT = ("nn_module_stack", "stack_trace")
_ROOT = re.compile(r"^L(\[[^\]]*\])+\.?|^L__self_+")
_WORDS = re.compile(r"\w+")


def observed(graph: fx.GraphModule) -> fx.GraphModule | None:
    """The copy; None when no attention over a model's own tokens is computed in it. The original is left alone.

    The bodies of checkpointed regions are part of it. Observations come after their calls, so that the compiler has
    laid out the tensors for the kernel before it meets them.
    """
    made, count = _copied(graph)
    return made if count else None


def _copied(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """An observed copy, the graphs inside of it too, and the number of observations in it."""
    made = _copy(graph)
    count = _observe(made.graph)
    for name, child in list(made.named_children()):
        if isinstance(child, fx.GraphModule):
            inner, more = _copied(child)
            made.add_module(name, inner)
            count += more
    made.recompile()
    return made, count


def _copy(graph: fx.GraphModule) -> fx.GraphModule:
    """The graph with nodes of its own, and with what the tracer wrote beside it and beside its inputs."""
    made = fx.GraphModule(graph, copy.deepcopy(graph.graph), class_name=type(graph).__name__)
    for name, value in vars(graph).items():
        vars(made).setdefault(name, value)
    made.meta.update(graph.meta)
    for old, new in zip(graph.graph.nodes, made.graph.nodes, strict=True):
        if hasattr(old, "_dynamo_source"):
            new._dynamo_source = old._dynamo_source
    return made


def _observe(graph: fx.Graph) -> int:
    """Put an observation after each attention call. Returns how many."""
    sites = list(_sites(graph))
    for node, site, given, numbers in sites:
        with graph.inserting_after(node):
            added = graph.call_function(operation(), (site.text(), given, numbers))
        added.meta.update({name: node.meta[name] for name in _KEPT if name in node.meta})
    return len(sites)


def _sites(graph: fx.Graph) -> Iterator[tuple[fx.Node, Site, list[fx.Node], list[fx.Node]]]:
    """Attention calls over own tokens with the tensors and the numbers that they take from the graph."""
    for node in graph.nodes:
        function = _function(node)
        if function is None:
            continue
        path, kind = _module_of(node)
        if is_cross_name(f"{path}.{kind}") or SIDE_TOWERS.intersection(path.split(".")):
            continue
        given: list[fx.Node] = []
        numbers: list[fx.Node] = []
        try:
            args = [_described(value, given, numbers) for value in node.args]
            kwargs = {name: _described(value, given, numbers) for name, value in node.kwargs.items()}
        except TypeError:
            continue
        yield node, Site(function, args, kwargs, number_in(path), _mask_of(node)), given, numbers


def _function(node: fx.Node) -> str | None:
    """Which of torch's attention functions a node calls."""
    if node.op != "call_function":
        return None
    name = getattr(node.target, "__name__", "")
    return name if name in _FUNCTIONS and getattr(node.target, "__module__", None) in _TORCH else None


def _described(value: Any, given: list[fx.Node], numbers: list[fx.Node]) -> Any:
    """A constant as it is, what the graph computes by its place. Raises TypeError for anything else."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    kind = value.meta.get("example_value") if isinstance(value, fx.Node) else None
    for wanted, found, stand_in in ((Tensor, given, tensor_place), (torch.SymFloat, numbers, number_place)):
        if isinstance(kind, wanted):
            found.append(value)
            return stand_in(len(found) - 1)
    raise TypeError(f"{value!r} is neither a constant nor a tensor nor a number")


def _module_of(node: fx.Node) -> tuple[str, str]:
    """Dotted name, from the compiled module on, and class of the module that makes a call; ("", "") for none."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return "", ""
    path, kind = list(stack.values())[-1]
    words = [word for word in _WORDS.findall(_ROOT.sub("", path)) if word != "_modules"]
    return ".".join(words), kind if isinstance(kind, str) else kind.__name__


def _mask_of(node: fx.Node) -> str:
    """The name of the mask of a fused call."""
    mask = node.kwargs.get("attn_mask", node.args[3] if len(node.args) > 3 else None)
    return mask.name if isinstance(mask, fx.Node) else ""
