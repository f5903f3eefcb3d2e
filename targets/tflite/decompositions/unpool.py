"""MaxUnpool: each maximum goes back to where it was found."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import for_each, ints_attribute, produced_by, remove_unused, shape_of
from edgekit.targets.tflite.decompositions._steps import Steps

SMALLEST = float(np.finfo(np.float32).tiny)


def decompose_unpool(model: ir.Model) -> bool:
    """MaxUnpool by the places of a MaxPool over windows side by side: 1 where a pixel was the first largest, else 0.

    With m the maximum of a window and x one of its pixels, 1 - (m - x) / max(m - x, smallest) is 1 where x is m and 0
    elsewhere, exactly; of equal ones only the first is left. The maps for each place in the window become blocks of
    pixels.

    Skips: windows that overlap, are padded, or do not fill the map; places that came from elsewhere.
    """
    changed = for_each(model, ("MaxUnpool",), _decompose)
    for node in list(model.graph):
        if node.op_type == "MaxPool" and len(node.outputs) > 1 and not node.outputs[1].uses():
            node.resize_outputs(1)
    return changed


def _decompose(node: ir.Node) -> bool:
    pool = produced_by(node.inputs[1], "MaxPool")
    before, after = shape_of(pool.inputs[0]) if pool is not None else None, shape_of(node.outputs[0])
    if pool is None or before is None or after != before or len(before) != 4:
        return False
    kernel, strides = (ints_attribute(pool, name, [1, 1]) for name in ("kernel_shape", "strides"))
    if kernel != strides or any(ints_attribute(pool, "pads", [0])) or kernel[0] != kernel[1]:
        return False
    if any(size % step for size, step in zip(before[2:], kernel, strict=True)):
        return False
    steps, source, value = Steps(node), pool.inputs[0], node.inputs[0]
    assert source is not None
    one, smallest = steps.constant(1.0), steps.constant(SMALLEST)
    free, maps = None, []
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            pixel = steps.cut(steps.cut(source, 2, row, step=kernel[0]), 3, column, step=kernel[1])
            below = steps.op("Sub", pool.outputs[0], pixel)
            equal = steps.op("Sub", one, steps.op("Div", below, steps.op("Max", below, smallest)))
            first = equal if free is None else steps.op("Mul", equal, free)
            free = steps.op("Sub", one if free is None else free, first)
            maps.append(steps.op("Mul", value, first))
    blocks = steps.op("Concat", *maps, axis=1)
    steps.replace(steps.op("DepthToSpace", blocks, blocksize=kernel[0], mode="DCR"))
    remove_unused(pool)
    return True
