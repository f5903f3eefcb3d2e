"""Small valid inputs, which the fuzz changes: tiny nets as ONNX, checkpoints and .pt2, pictures, bundles, texts."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.torch import save
from torch import nn

NET = b"""
from torch import nn


def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, 5))
"""
NET_ARGV = ("export", "net.py:net", "-t", "ort-fp32", "--input-size", "16", "--quiet")
RECIPE = b"""
model = "m.onnx"
targets = ["ort-fp32"]
samples = 4
seed = 0
out = "build"
labels = "labels.txt"
calibration = "cal"

[preprocess]
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
interpolation = "bilinear"
"""
DEVICES = b"""
[devices.here]
uri = "local:"
[devices.pi4]
uri = "ssh://pi@127.0.0.1"
runner = "python"
python = "/home/pi/venv/bin/python"
"""
LABELS = b"".join(b"n0000000%d label %d\n" % (i, i) for i in range(5))


def net() -> nn.Module:
    """The network of NET, of 5 classes."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4, 5)).eval()


def plain_onnx() -> onnx.ModelProto:
    """f32[1, 3, 16, 16] -> f32[1, 5]: convolution, pool, reshape, Gemm, softmax."""
    draw = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array(draw.normal(0, 0.3, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Clip", ["c", "low", "high"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Reshape", ["p", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "g", "h"], ["y0"], transB=1),
        helper.make_node("Softmax", ["y0"], ["y"], axis=1),
    ]
    initializers = [
        *(weights("w", 4, 3, 3, 3), weights("b", 4), weights("g", 5, 64), weights("h", 5)),
        numpy_helper.from_array(np.float32(0), "low"),
        numpy_helper.from_array(np.float32(6), "high"),
        numpy_helper.from_array(np.array([1, -1], np.int64), "shape"),
    ]
    graph = helper.make_graph(nodes, "g", [_value("x", 1, 3, 16, 16)], [_value("y", 1, 5)], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def onnx_with_parts() -> onnx.ModelProto:
    """The same with an If at its end, whose branches are subgraphs, and with a function."""
    model = plain_onnx()
    local = helper.make_function(
        "own", "twice", ["a"], ["o"], [helper.make_node("Add", ["a", "a"], ["o"])], [helper.make_opsetid("", 17)]
    )
    model.functions.append(local)
    model.opset_import.append(helper.make_opsetid("own", 1))
    branches = {
        f"{name}_branch": helper.make_graph([helper.make_node(op, ["y1"], [name])], name, [], [_value(name, 1, 5)])
        for name, op in (("then", "Softmax"), ("else", "Sigmoid"))
    }
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    del model.graph.node[-1]
    model.graph.node.append(helper.make_node("twice", ["y0"], ["y1"], domain="own"))
    model.graph.node.append(helper.make_node("If", ["yes"], ["y"], **branches))
    return model


def quantized_onnx() -> onnx.ModelProto:
    """A foreign QDQ file: quantize and dequantize around a convolution."""
    model = plain_onnx()
    scale = numpy_helper.from_array(np.float32(0.05), "scale")
    model.graph.initializer.extend([scale, numpy_helper.from_array(np.uint8(128), "zero")])
    pair = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
    ]
    model.graph.node[0].input[0] = "xd"
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(pair + rest)
    return model


def _value(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def checkpoints() -> dict[str, bytes]:
    """Weights of `net` in every format, by file name."""
    state = net().state_dict()
    new, old, nested = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save(state, new)
    torch.save(state, old, _use_new_zipfile_serialization=False)
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3, "args": {"lr": 0.1}}, nested)
    arrays = pickle.dumps({name: value.numpy() for name, value in state.items()}, protocol=2)
    files = {"w.pth": new.getvalue(), "old.pth": old.getvalue(), "nested.pt": nested.getvalue(), "arrays.pth": arrays}
    return files | {"w.safetensors": save(dict(state))}


def program() -> bytes:
    """`net` as a .pt2."""
    file = io.BytesIO()
    torch.export.save(torch.export.export(net(), (torch.zeros(1, 3, 16, 16),)), file)
    return file.getvalue()


def pictures() -> dict[str, bytes]:
    """Three labelled pictures, of three formats, in class folders."""
    draw, files = np.random.default_rng(0), {}
    for number, kind in enumerate(("png", "jpeg", "bmp")):
        file = io.BytesIO()
        Image.fromarray(draw.integers(0, 256, (20, 24, 3), np.uint8)).save(file, kind)
        files[f"n0000000{number}/{number}.{kind}"] = file.getvalue()
    return files


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of `files`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return file.getvalue()


def under(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in files.items()}


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files under `folder` by their relative names."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def texts() -> dict[str, bytes]:
    return {"r.toml": RECIPE, "devices.toml": DEVICES, "labels.txt": LABELS}
