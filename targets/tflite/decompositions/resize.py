"""Resizes that TFLite's kernels do not compute: cubic, antialiased, or with other coordinates."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.graph.session import open_session
from edgekit.passes.rewrite import constant, for_each, shape_of, string_attribute
from edgekit.targets.tflite.decompositions._steps import Steps
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.lowerings.resize import legal_resize

WIDTH = 4


def decompose_resize(model: ir.Model) -> bool:
    """Resize becomes a product with a matrix for the rows and one for the columns.

    Any such resize is linear and acts on rows and columns one after the other. ONNX Runtime is asked for the weights:
    what it makes of the unit vectors are the columns of the matrix.

    Skips: what TFLite's kernels compute; other axes than height and width; nearest pixels, which are gathered.
    """
    return for_each(model, ("Resize",), _decompose)


def _decompose(node: ir.Node) -> bool:
    before, after = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    given = [constant(value) for value in node.inputs[1:] if value is not None]
    if before is None or after is None or len(before) != 4 or before[:2] != after[:2] or any(g is None for g in given):
        return False
    if string_attribute(node, "mode", "nearest") == "nearest" or _is_native(node, before, after):
        return False
    if string_attribute(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return False
    if string_attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        return False
    steps, value = Steps(node), node.inputs[0]
    rows, columns = (_matrix(node, axis, before, after) for axis in (2, 3))
    assert value is not None
    if not _is_unit(rows):
        value = steps.op("MatMul", steps.constant(rows), value)
    if not _is_unit(columns):
        value = steps.op("MatMul", value, steps.constant(columns.T))
    return steps.replace(value) if value is not node.inputs[0] else False


def _is_native(node: ir.Node, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether TFLite has a kernel."""

    def seen(value: ir.Value | None) -> Tensor | None:
        array = constant(value)
        return None if value is None else Tensor("", () if array is None else array.shape, "float32", data=array)

    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    source, result = Tensor("", before, "float32"), Tensor("", after, "float32")
    parameters = [None if value is None else seen(value) for value in node.inputs[1:]]
    return legal_resize(Node("Resize", "", "", [source, *parameters], [result], attributes)) is None


def _matrix(node: ir.Node, axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> NDArray[np.float32]:
    """f32[after, before] of one axis."""
    size = before[axis]
    shape = [1, size, size, WIDTH]  # a channel for each unit vector, its rows, and columns that stay
    parameters = _parameters(node, axis, size, after[axis])
    attributes = {name: a for name, a in node.attributes.items() if name != "axes"}
    proto = helper.make_node("Resize", ["x", "", *[name for name, _ in parameters]], ["y"])
    proto.attribute.extend(ir.to_proto(attribute) for attribute in attributes.values())
    graph = helper.make_graph(
        [proto],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in parameters if name],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    units = np.broadcast_to(np.eye(size, dtype=np.float32)[None, :, :, None], shape)
    [found] = open_session(model.SerializeToString(), str(node.name)).run(None, {"x": np.ascontiguousarray(units)})
    matrix: NDArray[np.float32] = found[0, :, :, 0].T
    return matrix


def _parameters(node: ir.Node, axis: int, size: int, out: int) -> list[tuple[str, NDArray[np.generic]]]:
    """The names and values of scales, or of scales that are not there and sizes."""
    scales = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if scales is not None and scales.size:
        axes = list(node.attributes["axes"].as_ints()) if "axes" in node.attributes else [0, 1, 2, 3]
        scale = dict(zip([a % 4 for a in axes], scales.tolist(), strict=True)).get(axis, 1.0)
        return [("scales", np.array([1, 1, scale, 1], np.float32))]
    return [("", np.zeros(0)), ("sizes", np.array([1, size, out, WIDTH], np.int64))]


def _is_unit(matrix: NDArray[np.float32]) -> bool:
    return matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix)))
