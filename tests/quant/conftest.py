"""Small canonical graphs, written as text: opset 21, batch 1, static shapes, unique names."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper

from edgekit.quant import calibrate, quantize
from edgekit.target import QuantScheme

INT8 = QuantScheme("int8", "int8")


@pytest.fixture(scope="session")
def graph():
    """`graph(body, **constants)`: a model from x f32[1,4,6,6] to y in onnx.parser's text; keywords are initializers."""

    def make(body, inputs="float[1,4,6,6] x", outputs="float[?,?,?,?] y", **constants):
        model = onnx.parser.parse_model(
            f'<ir_version: 10, opset_import: ["" : 21]> net ({inputs}) => ({outputs}) {{ {body} }}'
        )
        arrays = {name: np.asarray(value) for name, value in constants.items()}
        arrays = {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in arrays.items()}
        model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
        for node in model.graph.node:
            node.name = f"n_{node.output[0]}"
            node.metadata_props.add(key="edgekit.module", value=f"net.{node.output[0]}")
        return ir.from_proto(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))

    return make


@pytest.fixture(scope="session")
def images():
    """f32[24, 4, 6, 6] of seeded noise, not centred on zero."""
    return np.random.default_rng(0).normal(0.3, 1.0, (24, 4, 6, 6)).astype(np.float32)


@pytest.fixture(scope="session")
def evaluate():
    """`evaluate(model, images)`: outputs of a graph, float or QDQ, with nothing optimised; f32[n, ...]."""

    def run(model, images):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        data = ir.to_proto(model).SerializeToString()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return np.concatenate([session.run(None, {"x": image[None]})[0] for image in images])

    return run


@pytest.fixture(scope="session")
def quantized(images):
    """`quantized(model, scheme)`: the QDQ graph of a float one, calibrated on `images`."""

    def make(model, scheme=INT8):
        return quantize(model, calibrate(model, [images]), scheme)

    return make


@pytest.fixture(scope="session")
def parameters():
    """`parameters(model)`: name of each quantized value -> (scale, zero point, dtype)."""

    def read(model):
        found = {}
        for node in model.graph:
            if node.op_type == "QuantizeLinear":
                scale, zero = (value.const_value.numpy() for value in node.inputs[1:3])
                name = node.inputs[0].name.removesuffix("_float")
                found[name] = (float(scale), int(zero), zero.dtype.name)
        return found

    return read
