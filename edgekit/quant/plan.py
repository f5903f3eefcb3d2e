"""What becomes an integer: which values get parameters, which share them, which must be observed.

Derived from the graph alone, so calibration and the QDQ writer see the same plan without passing it around.
"""

from collections.abc import Collection
from dataclasses import dataclass

import onnx_ir as ir

from edgekit.quant.float_islands import float_islands
from edgekit.quant.operators import ACTIVATIONS, FUSES_ACTIVATION, QuantRule, data_inputs, find_rule, is_constant


@dataclass(frozen=True, slots=True)
class Plan:
    """The quantized part of a graph, by names.

    Args:
        rules: node name -> its rule, for every node that is quantized.
        values: every value that gets a QuantizeLinear and DequantizeLinear, in graph order. Not in it: weights,
            constant operands, and the value between an operator and the activation fused behind it.
        group: value -> name of the group that shares one set of parameters.
        fixed: group -> operator ("Softmax") whose kernel fixes the parameters.
        sources: group -> the values whose union of ranges is the group's range; the others are copies of them.
        requantized: (node name, input index) of a `same` operator whose operand is stored differently.
        averaged: operand of a layer with constant weights -> axis of its channels, for bias correction.
    """

    rules: dict[str, QuantRule]
    values: tuple[str, ...]
    group: dict[str, str]
    fixed: dict[str, str]
    sources: dict[str, tuple[str, ...]]
    requantized: frozenset[tuple[str, int]]
    averaged: dict[str, int]

    @property
    def observed(self) -> tuple[str, ...]:
        """The values whose range calibration must measure, constants among them.

        A softmax's parameters are fixed, and its range is seen all the same: tiny probabilities stay in float
        (float_heads.py).
        """
        fixed = {group for group, operator in self.fixed.items() if operator != "Softmax"}
        names = [name for group, names in self.sources.items() if group not in fixed for name in names]
        return tuple(dict.fromkeys(names))


class Groups:
    """Union-find over value names; the name that came first in the graph names the group."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        root = name
        while self._parent.setdefault(root, root) != root:
            root = self._parent[root]
        while self._parent[name] != root:
            self._parent[name], name = root, self._parent[name]
        return root

    def join(self, first: str, second: str) -> None:
        self._parent[self.find(second)] = self.find(first)


def make_plan(model: ir.Model, keep_float: Collection[str] = ()) -> Plan:
    """Decide what of a float graph is quantized.

    Args:
        keep_float: names of nodes that stay in float32; an activation fused behind one of them stays with it.

    A node is quantized when its operator has a rule that accepts it. Its operands and results are then values with
    parameters, except the result of a linear or arithmetic node whose only reader is a Relu or Clip. A graph input that
    a node of `keep_float` reads is a value all the same: what an app feeds does not depend on the accuracy asked for.
    """
    left = {*keep_float, *fused_behind(model, keep_float), *float_islands(model)}
    rules = {n: rule for node in model.graph if (n := name_of(node)) not in left and (rule := find_rule(node))}
    nodes = [(node, rules[name_of(node)]) for node in model.graph if node.name in rules]
    fused = {name_of(node.outputs[0]) for node, _ in nodes if fuses_with_next(node, rules)}
    fed = [value for value in model.graph.inputs if any(reader.name in keep_float for reader, _ in value.uses())]
    values: dict[str, None] = {name_of(value): None for value in fed if nodes}
    for node, rule in nodes:
        results = () if rule.role == "reads" else node.outputs
        for value in (*(v for v in data_inputs(node) if not is_constant(v)), *results):
            if name_of(value) not in fused:
                values[name_of(value)] = None
    groups, requantized = join_groups(nodes)
    fixed = find_fixed(nodes, groups)
    return Plan(
        rules=rules,
        values=tuple(values),
        group={name: groups.find(name) for name in values},
        fixed=fixed,
        sources=find_sources(nodes, tuple(values), groups),
        requantized=frozenset(requantized),
        averaged={
            name_of(data_inputs(node)[0]): -1 if node.op_type == "MatMul" else 1
            for node, rule in nodes
            if rule.role == "linear" and is_constant(node.inputs[1])
        },
    )


def name_of(item: ir.Node | ir.Value) -> str:
    """The name, which every node and value of a canonical graph has."""
    if item.name is None:
        raise ValueError(f"unnamed in a canonical graph: {item}")
    return item.name


def values_of(model: ir.Model) -> dict[str, ir.Value]:
    """Every value by its name: graph inputs, constants and results."""
    graph = model.graph
    results = (value for node in graph for value in node.outputs)
    return {name_of(value): value for value in (*graph.initializers.values(), *graph.inputs, *results)}


def fuses_with_next(node: ir.Node, rules: dict[str, QuantRule]) -> bool:
    """Whether the only reader of the node's result is a quantized Relu or Clip."""
    if node.op_type not in FUSES_ACTIVATION or node.outputs[0].is_graph_output():
        return False
    readers = [reader for reader, _ in node.outputs[0].uses()]
    return len(readers) == 1 and readers[0].op_type in ACTIVATIONS and readers[0].name in rules


def fused_behind(model: ir.Model, names: Collection[str]) -> set[str]:
    """Names of the activations that are fused behind the named nodes."""
    rules = {name_of(node): rule for node in model.graph if (rule := find_rule(node)) is not None}
    chosen = [node for node in model.graph if node.name in names and fuses_with_next(node, rules)]
    return {name_of(reader) for node in chosen for reader, _ in node.outputs[0].uses()}


Nodes = list[tuple[ir.Node, QuantRule]]


def join_groups(nodes: Nodes) -> tuple[Groups, set[tuple[str, int]]]:
    """Join what shares parameters, and list the operands that cannot because their own are fixed."""
    groups = Groups()
    same = [node for node, rule in nodes if rule.role == "same"]
    for node in same:
        for value in node.outputs[1:]:
            groups.join(name_of(node.outputs[0]), name_of(value))
        if len(data_inputs(node)) == 1:
            groups.join(name_of(data_inputs(node)[0]), name_of(node.outputs[0]))
    fixed = find_fixed(nodes, groups)
    requantized = set()
    for node in same:
        operands = data_inputs(node)
        if len(operands) == 1:
            continue
        operators = {fixed.get(groups.find(name_of(value))) for value in operands}
        for index, value in enumerate(operands):
            if fixed.get(groups.find(name_of(value))) is not None and len(operators) > 1:
                requantized.add((name_of(node), index))
            else:
                groups.join(name_of(value), name_of(node.outputs[0]))
    return groups, requantized


def find_fixed(nodes: Nodes, groups: Groups) -> dict[str, str]:
    """Group -> the operator that fixes its parameters."""
    return {groups.find(name_of(node.outputs[0])): node.op_type for node, rule in nodes if rule.role == "fixed"}


def find_sources(nodes: Nodes, values: tuple[str, ...], groups: Groups) -> dict[str, tuple[str, ...]]:
    """Group -> the values that are not made from others of the group.

    Pooling, padding and moving never leave the range of their operands, so observing those is enough. An operand of
    another group (requantized) counts as a source: its range must fit too.
    """
    copies = {name_of(value) for node, rule in nodes if rule.role == "same" for value in node.outputs}
    sources: dict[str, dict[str, None]] = {}
    for name in values:
        members = sources.setdefault(groups.find(name), {})
        if name not in copies:
            members[name] = None
    for node, rule in nodes:
        if rule.role == "same":
            for value in data_inputs(node):
                if is_constant(value) or groups.find(name_of(value)) != groups.find(name_of(node.outputs[0])):
                    sources[groups.find(name_of(node.outputs[0]))][name_of(value)] = None
    return {group: tuple(members) for group, members in sources.items()}


def fused_name(node: ir.Node, plan: Plan) -> str:
    """Name of the value that a node's result is stored as: behind the activation that is fused with it."""
    result = node.outputs[0]
    readers = [reader for reader, _ in result.uses()]
    return str(result.name) if result.name in plan.group or not readers else str(readers[0].outputs[0].name)
