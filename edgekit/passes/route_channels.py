"""Take channel shuffles and selections out of the graph: the weights around them know the order instead."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgekit.passes.channels import (
    Free,
    Indices,
    channels_of,
    find_reader,
    find_writer,
    groups_of,
    has_channel_constants,
    moved_channels,
    moving_nodes,
    reorder_constants,
    reorder_inputs,
    reorder_outputs,
    reorders,
)
from edgekit.passes.rewrite import graph_of, new_constant, new_node, remove_unused, set_constant, shape_of

MAX_PIECES = 16
"""Runs of channels that one reader's input may be put together from; beyond, moving costs more than it saves."""

MAX_SPARE = 2
"""Channels that a reader may be given, in units of those it needs: its weights are zero for the rest."""


def route_channels(model: ir.Model) -> bool:
    """Connect what reads shuffled or selected channels with the runs of channels that it reads.

    Every Concat, Split, Slice, Gather and shuffle along axis 1 only says where channels come from. A Conv or Gemm that
    reads them, maybe through operators that treat channels alike, takes them in any order: W'[:, i] = W[:, order[i]]. A
    Conv that makes them writes them in the order in which they are read, so each reader finds a few contiguous runs:
    a Slice of each and one Concat. In ShuffleNet V2 a channel is then copied once, when a unit reads it, where the
    network as written joins, shuffles and splits all of them in every unit.

    Shapes: W f32[O,I,kH,kW] or f32[O,I].
    Groups: a convolution of up to MAX_GROUPS groups takes and makes any order inside of each. In ShuffleNet V1 the end
        of a group goes to another one, so each group is put together from a run of every group before the shuffle.
    Skips:  a reader in more groups, an addition, a graph output: it needs the order, so what brings the channels there
        stays, and their producers keep their order; inputs of more than MAX_PIECES runs, unless whole sources are at
        most MAX_SPARE times what is read (the others get zero weights).
    Measured: ShuffleNet V2 1.0 at 224 pixels, ai-edge-litert 2.3.0 on x86-64 with AVX2, one thread, CPU ms in one run:
        as written 6.6 in float and 5.5 in int8 (45 TRANSPOSE), routed 5.9 and 5.5 (none). Pieces cost what their count
        says, not their bytes: a unit at 28x28 pixels moves its channels in 43 us (float) or 37 us (int8) from four
        pieces and 76 or 79 from seven; with its shuffle, in 115 or 37. ShuffleNet V1, one TRANSPOSE per shuffle /
        routed: 2 groups 6.4 / 6.1 in float and 6.6 / 6.2 in int8, 3 groups 6.2 / 6.1 and 6.5 / 6.4.
    """
    changed = False
    while any(reorders(node) for node in model.graph) and _connect_readers(model):
        changed = True
    return changed


def _connect_readers(model: ir.Model) -> bool:
    needs = find_needs(model, find_routes(model))
    plan = choose(needs)
    for source, places in plan.places.items():
        _reorder_source(source, np.argsort(places))
    made: dict[tuple[Piece, ...], ir.Value] = {}
    for need, pieces in plan.pieces:
        _connect(need, pieces, plan.places, made)
    return bool(plan.pieces)


class Route(NamedTuple):
    """Where the channels of a value come from.

    Args:
        channels: (source, channel of it) of each; sources are values that no moving node makes.
        reordered: whether some node on the way reorders.
    """

    channels: tuple[tuple[ir.Value, int], ...]
    reordered: bool


class Need(NamedTuple):
    """A node that reads a moved value.

    Args:
        reader: None where the order of the channels matters to it.
    """

    consumer: ir.Node | None
    value: ir.Value
    route: Route
    reader: Free | None


class Piece(NamedTuple):
    """Stored channels start..stop of a source."""

    source: ir.Value
    start: int
    stop: int


Places = dict[ir.Value, Indices]


class Plan(NamedTuple):
    """What is done.

    Args:
        places: source -> where each of its channels is written.
        pieces: each need that is met, and what its input is put together from.
    """

    places: Places
    pieces: list[tuple[Need, tuple[Piece, ...]]]


def find_routes(model: ir.Model) -> dict[ir.Value, Route]:
    """The route of every value that a node makes by moving channels."""
    routes: dict[ir.Value, Route] = {}
    for node in model.graph:
        own = reorders(node)
        for output, parts in moved_channels(node):
            channels: list[tuple[ir.Value, int]] = []
            reordered = own
            for value, indices in parts:
                route = routes.get(value)
                reordered = reordered or (route is not None and route.reordered)
                channels += [(value, int(i)) if route is None else route.channels[i] for i in indices]
            routes[output] = Route(tuple(channels), reordered)
    return routes


def find_needs(model: ir.Model, routes: dict[ir.Value, Route]) -> list[Need]:
    """Every reader of a moved value, or of a source, that moves no channels itself, in the order of the graph."""
    sources = {source for route in routes.values() for source, _ in route.channels}
    moving = {node for output in routes for node in moving_nodes(output)}
    needs = []
    for node in model.graph:
        for value in dict.fromkeys(node.inputs):
            if value is None or node in moving or (value not in routes and value not in sources):
                continue
            route = routes.get(value) or whole(value)
            reader = find_reader(node, value) if route.reordered else None
            needs.append(Need(node, value, route, reader if reader and _fits(reader, route) else None))
    outputs = [value for value in model.graph.outputs if value in routes or value in sources]
    return needs + [Need(None, value, routes.get(value) or whole(value), None) for value in outputs]


def whole(source: ir.Value) -> Route:
    """The route of a value that comes from itself."""
    return Route(tuple((source, channel) for channel in range(channels_of(source))), False)


def _fits(reader: Free, route: Route) -> bool:
    """A channel that is read twice may be given once, unless groups or constants on the way tell the two apart."""
    alike = groups_of(reader.linear) == 1 and not any(map(has_channel_constants, reader.through))
    return alike or len(set(route.channels)) == len(route.channels)


def blocks_of(need: Need) -> list[tuple[tuple[ir.Value, int], ...]]:
    """What each group of the reader's layer reads."""
    assert need.reader is not None
    channels, groups = need.route.channels, groups_of(need.reader.linear)
    size = len(channels) // groups
    return [tuple(dict.fromkeys(channels[group * size : (group + 1) * size])) for group in range(groups)]


def choose(needs: list[Need]) -> Plan:
    """The needs that can be met, with the orders of their sources; those of other readers stay what they are."""
    free = [need for need in needs if need.reader is not None]
    while free:
        fixed = {source for need in needs if need not in free for source, _ in need.route.channels}
        places = {
            source: np.argsort(order)
            for source, order in wanted_orders(free).items()
            if source not in fixed and find_writer(source)
        }
        pieces = [(need, put_together(need, places)) for need in free]
        if all(found for _, found in pieces):
            return Plan(places, [(need, found) for need, found in pieces if found])
        free = [need for need, found in pieces if found]
    return Plan({}, [])


def wanted_orders(needs: list[Need]) -> dict[ir.Value, Indices]:
    """The order of each source in which its readers find contiguous runs: by first reader, then by second.

    A source that is made in groups keeps each channel in its group.
    """
    readers: dict[ir.Value, dict[int, list[int]]] = {}
    blocks = [block for need in needs for block in blocks_of(need)]
    for number, block in enumerate(blocks):
        for source, channel in block:
            readers.setdefault(source, {}).setdefault(channel, []).append(number)
    orders = {}
    for source, found in readers.items():
        writer, size = find_writer(source), channels_of(source)
        group = size // groups_of(writer.linear) if writer is not None else size
        keys = [(channel // group, found.get(channel, [len(blocks)]), channel) for channel in range(size)]
        orders[source] = np.array([channel for *_, channel in sorted(keys)])
    return orders


def put_together(need: Need, places: Places) -> tuple[Piece, ...] | None:
    """Runs that hold all channels of a need and no others; or whole sources; or None where both cost too much."""
    blocks = blocks_of(need)
    runs: list[Piece] = []
    for run in (run for block in blocks for run in _runs(block, places)):
        if runs and runs[-1].source is run.source and runs[-1].stop == run.start:
            runs[-1] = runs[-1]._replace(stop=run.stop)
        else:
            runs.append(run)
    if len(runs) <= MAX_PIECES:
        return tuple(runs)
    assert need.reader is not None
    sources = tuple(dict.fromkeys(source for source, _ in need.route.channels))
    spare = sum(map(channels_of, sources)) > len(set(need.route.channels)) * MAX_SPARE
    if len(blocks) > 1 or spare or any(map(has_channel_constants, need.reader.through)) or len(sources) > MAX_PIECES:
        return None
    return tuple(Piece(source, 0, channels_of(source)) for source in sources)


def _runs(block: Iterable[tuple[ir.Value, int]], places: Places) -> Iterator[Piece]:
    """The runs of neighbours in which the sources store these channels."""
    wanted: dict[ir.Value, list[int]] = {}
    for source, channel in block:
        wanted.setdefault(source, []).append(place(source, channel, places))
    for source, stored in wanted.items():
        ordered = np.sort(stored)
        for run in np.split(ordered, np.flatnonzero(np.diff(ordered) != 1) + 1):
            yield Piece(source, int(run[0]), int(run[-1]) + 1)


def place(source: ir.Value, channel: int, places: Places) -> int:
    """Where a source stores one of its channels."""
    return int(places[source][channel]) if source in places else channel


def _reorder_source(source: ir.Value, order: Indices) -> None:
    writer = find_writer(source)
    assert writer is not None
    reorder_outputs(writer.linear, order)
    for node in writer.through:
        reorder_constants(node, order)


def _connect(need: Need, pieces: tuple[Piece, ...], places: Places, made: dict[tuple[Piece, ...], ir.Value]) -> None:
    """Let a need read its pieces, and its weights find each channel there."""
    consumer, reader, old = need.consumer, need.reader, need.value.producer()
    assert consumer is not None
    assert reader is not None
    assert old is not None
    begins = np.cumsum([0, *(piece.stop - piece.start for piece in pieces)])
    at = {
        (piece.source, stored): int(begin) + stored - piece.start
        for piece, begin in zip(pieces, begins, strict=False)
        for stored in range(piece.start, piece.stop)
    }
    positions = np.array([at[source, place(source, channel, places)] for source, channel in need.route.channels])
    if pieces not in made:
        made[pieces] = _join(pieces, need.value, consumer)
    consumer.replace_input_with(consumer.inputs.index(need.value), made[pieces])
    size = int(begins[-1])
    for node in reader.through:
        _resize(node, size, positions)
    reorder_inputs(reader.linear, positions, size)
    remove_unused(old)


def _join(pieces: Iterable[Piece], value: ir.Value, before: ir.Node) -> ir.Value:
    """The pieces side by side, in the place of `value`: Slices and a Concat in front of `before`."""
    old = value.producer()
    assert old is not None
    graph, parts, suffix = graph_of(before), list[ir.Value](), f"part{old.outputs.index(value)}"
    for piece in pieces:
        shape = shape_of(piece.source)
        assert shape is not None
        if piece.stop - piece.start == shape[1]:
            parts.append(piece.source)
            continue
        bounds = [
            new_constant(graph, f"{old.name}.{what}", np.array([number]))
            for what, number in (("start", piece.start), ("stop", piece.stop), ("axis", 1))
        ]
        size = (shape[0], piece.stop - piece.start, *shape[2:])
        cut = new_node("Slice", [piece.source, *bounds], of=old, suffix=f"{suffix}_{len(parts)}", shape=size)
        graph.insert_before(before, cut)
        parts.append(cut.outputs[0])
    if len(parts) == 1:
        return parts[0]
    shape = shape_of(parts[0])
    assert shape is not None
    size = (shape[0], sum(map(channels_of, parts)), *shape[2:])
    joined = new_node("Concat", parts, {"axis": 1}, of=old, suffix=suffix, shape=size)
    graph.insert_before(before, joined)
    return joined.outputs[0]


def _resize(node: ir.Node, size: int, positions: Indices) -> None:
    """Let a node that channels pass through see them at `positions` of `size`."""
    output, shape = node.outputs[0], shape_of(node.outputs[0])
    assert shape is not None
    if has_channel_constants(node):
        reorder_constants(node, np.argsort(positions))
    if shape[1] != size:
        output.shape = ir.Shape((shape[0], size, *shape[2:]))
        if node.op_type == "Reshape":
            set_constant(node, 1, np.array((shape[0], size, *shape[2:])))
