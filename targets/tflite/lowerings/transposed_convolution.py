"""ConvTranspose: TRANSPOSE_CONV, and a SLICE where ONNX cuts the border unevenly."""

from dataclasses import replace

import numpy as np

from edgekit.targets.tflite.emitter import Emitter, fused_activation
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import channels_last, stored_shape
from edgekit.targets.tflite.lowerings._window import SAME, VALID
from edgekit.targets.tflite.lowerings.convolution import bias_constant, legal_conv, stored_weights
from edgekit.targets.tflite.rules import INTEGERS, lowering

NHWC = channels_last(4)


def legal_conv_transpose(node: Node) -> str | None:
    if "output_shape" in node.attrs:
        return "output_shape is not resolved to pads"
    return legal_conv(node)


def groups_stay_float(node: Node) -> str | None:
    """The weights of all groups share their scales per output channel of one group."""
    return "grouped transposed convolution has no integer kernel" if int(node.attrs.get("group", 1)) != 1 else None


def whole_weights(node: Node) -> Tensor:
    """Weights [I, O/group, kH, kW] as those of one group without dilation: zeros between groups and between taps."""
    weights, group = node.input(1), int(node.attrs.get("group", 1))
    assert weights.data is not None
    data = weights.data
    if group > 1:
        inputs, outputs, *kernel = data.shape
        dense = np.zeros((inputs, outputs * group, *kernel), data.dtype)
        for index in range(group):
            block = slice(index * inputs // group, (index + 1) * inputs // group)
            dense[block, index * outputs : (index + 1) * outputs] = data[block]
        data = dense
    rows, columns = (int(step) for step in node.attrs.get("dilations", (1, 1)))
    if (rows, columns) != (1, 1):
        height, width = data.shape[2:]
        spread = np.zeros((*data.shape[:2], (height - 1) * rows + 1, (width - 1) * columns + 1), data.dtype)
        spread[:, :, ::rows, ::columns] = data
        data = spread
    return replace(weights, shape=data.shape, data=data)


@lowering(
    "ConvTranspose",
    ("TRANSPOSE_CONV", "SLICE"),
    integer=INTEGERS,
    legal=legal_conv_transpose,
    stays_float=groups_stay_float,
)
def lower_conv_transpose(em: Emitter, node: Node) -> None:
    """Weights IOHW -> OHWI. TFLite's SAME cuts (k - s) / 2 in front; any other cut is VALID and a SLICE.

    The fused activation came with version 4 (runtime 2.15), so a clamp stays an operator of its own.
    """
    source, weights = node.input(0), whole_weights(node)
    shape, pads = node.output.shape, tuple(node.attrs.get("pads", (0, 0, 0, 0)))
    strides = tuple(int(stride) for stride in node.attrs.get("strides", (1, 1)))
    reach = tuple((source.shape[2 + i] - 1) * strides[i] + weights.shape[2 + i] for i in range(2))
    same = all(
        source.shape[2 + i] == -(-shape[2 + i] // strides[i]) and pads[i] == max(reach[i] - shape[2 + i], 0) // 2
        for i in range(2)
    )
    # output_padding may reach beyond the last window: that border holds the bias alone.
    full = shape if same else (*shape[:2], *(max(reach[i], pads[i] + shape[2 + i]) for i in range(2)))
    free = node.clamp is None or fused_activation(node.clamp, node.output) == 0
    result = node.output if free else em.scratch(node.output)
    product = result if full == shape else em.scratch(result, full)

    size = em.parameter(np.array(stored_shape(full, NHWC), np.int32), "output shape")
    kernel = stored_weights(em, weights, (1, 2, 3, 0), channel=1, dynamic=False)
    bias = bias_constant(em, node.optional(2), source, weights, shape[1])
    options = {"padding": SAME if same else VALID, "strideH": strides[0], "strideW": strides[1]}
    em.write("TRANSPOSE_CONV", [size, kernel, em.input(source, NHWC), bias], product, NHWC, options)
    if product is not result:
        begin = em.parameter(np.array([0, pads[0], pads[1], 0], np.int32), "begin")
        extent = em.parameter(np.array(stored_shape(shape, NHWC), np.int32), "size")
        em.write("SLICE", [em.input(product), begin, extent], result, NHWC)
    if result is not node.output and node.clamp is not None:
        em.clamp(result, node.output, node.clamp)
