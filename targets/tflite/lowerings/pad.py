"""Pad: PAD and PADV2 with a constant; the map's own rows and columns as SLICEs around it."""

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.lowerings._pieces import pick, runs_of
from edgekit.targets.tflite.rules import INTEGERS, lowering

COPYING = ("reflect", "edge", "wrap")
"""ONNX's modes that repeat pixels; numpy.pad calls them the same."""


def legal_pad(node: Node) -> str | None:
    mode = node.attrs.get("mode", "constant")
    if mode not in ("constant", *COPYING):
        return f"mode {mode} has no rule"
    if any(tensor is not None and tensor.data is None for tensor in node.inputs[1:]):
        return "the amounts and the value must be constants"
    amounts = node.input(1).numbers()
    return "negative amounts have no rule; use Slice" if np.any(amounts < 0) else None


@lowering("Pad", ("PAD", "PADV2", "SLICE", "CONCATENATION"), integer=INTEGERS, same_quant=True, legal=legal_pad)
def lower_pad(em: Emitter, node: Node) -> None:
    """By copies, axis after axis: XNNPACK takes SLICE and CONCATENATION, which MIRROR_PAD and GATHER would cut."""
    source, rank = node.input(0), len(node.input(0).shape)
    amounts = _pad_amounts(node, rank)
    mode = node.attrs.get("mode", "constant")
    if mode == "constant":
        value = node.optional(2)
        _pad_with(em, source, node.output, amounts, 0.0 if value is None else float(value.numbers().reshape(())))
        return
    perm, padded = em.layout(source), [axis for axis in range(rank) if any(amounts[axis])]
    for axis in padded:
        shape = (*source.shape[:axis], source.shape[axis] + sum(amounts[axis]), *source.shape[axis + 1 :])
        wide = node.output if axis == padded[-1] else em.scratch(node.output, shape)
        picked = np.pad(np.arange(source.shape[axis]), amounts[axis], mode=mode).tolist()
        pick(em, source, wide, perm, axis, runs_of(picked))
        source = wide


def _pad_with(em: Emitter, source: Tensor, output: Tensor, amounts: list[tuple[int, int]], value: float) -> None:
    perm = em.layout(source)
    inputs = [em.input(source), em.parameter(np.array([amounts[axis] for axis in perm], np.int32), "pads")]
    version = (4, "2.6.0") if len(perm) > 4 else None
    if value == 0.0:
        em.write("PAD", inputs, output, perm, version=version)
        if em.is_non_negative(source):
            em.mark_non_negative(output)
    else:
        em.write("PADV2", [*inputs, em.scalar(value, source)], output, perm, version=version)


def _pad_amounts(node: Node, rank: int) -> list[tuple[int, int]]:
    values = [int(v) for v in node.input(1).numbers().reshape(-1)]
    axes_tensor = node.optional(3)
    axes = list(range(rank)) if axes_tensor is None else [int(a) % rank for a in axes_tensor.numbers().reshape(-1)]
    amounts = [(0, 0)] * rank
    for position, axis in enumerate(axes):
        amounts[axis] = (values[position], values[position + len(axes)])
    return amounts
