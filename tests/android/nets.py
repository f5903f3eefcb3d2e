"""Small ONNX files with outputs of every kind, under any name and in any order, and photographs to calibrate them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE = 16
CLASSES = ("cat", "dog", "bird")
SHAPES = {"scores": (1, 3), "boxes": (1, 4, 8, 8), "mask": (1, 2, 8, 8), "points": (1, 8, 5), "index": (1, 1, 8, 8)}
"""What an output can hold -> its shape, axes in ONNX order."""

NASTY = 'a"b$c\n'
NASTIER = "\\u0022 |`@PACKAGE@`| */ ${x} ??/ \t\r\x01\x7f é 😀"
"""Ends a literal, a template, a comment, a table's cell and a line, each where one of the languages would let it."""


def write_net(path: Path, outputs: Mapping[str, str]) -> Path:
    """A net with these outputs: name -> what it holds, a key of SHAPES."""
    rng = np.random.default_rng(3)
    weights = {
        "stem": rng.normal(size=(8, 3, 3, 3)) * 0.3,
        "head": rng.normal(size=(3, 8)),
        "box": rng.normal(size=(4, 8, 1, 1)) * 20,
        "part": rng.normal(size=(2, 8, 1, 1)),
        "point": rng.normal(size=(5, 8, 1, 1)),
    }
    stem = [
        helper.make_node("Conv", ["input", "stem"], ["maps"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["features"]),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, SIDE, SIDE))
    graph = helper.make_graph(
        stem + [node for name, kind in outputs.items() for node in _head(name, kind)],
        "net",
        [given],
        [_value(name, kind) for name, kind in outputs.items()],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def _value(name: str, kind: str) -> onnx.ValueInfoProto:
    dtype = TensorProto.INT64 if kind == "index" else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, dtype, SHAPES[kind])


def _head(name: str, kind: str) -> list[onnx.NodeProto]:
    """What makes an output out of the features."""
    steps = {
        "scores": [("GlobalAveragePool", [], {}), ("Flatten", [], {}), ("Gemm", ["head"], {"transB": 1})],
        "boxes": [("Conv", ["box"], {})],
        "mask": [("Conv", ["part"], {}), ("Sigmoid", [], {})],
        "points": [
            ("Conv", ["point"], {}),
            ("ReduceMean", [], {"axes": [3], "keepdims": 0}),
            ("Transpose", [], {"perm": [0, 2, 1]}),
        ],
        "index": [("Conv", ["part"], {}), ("ArgMax", [], {"axis": 1})],
    }[kind]
    nodes, given = [], "features"
    for i, (operator, constants, attributes) in enumerate(steps):
        made = name if i == len(steps) - 1 else f"{kind}.{i}"
        nodes.append(helper.make_node(operator, [given, *constants], [made], **attributes))
        given = made
    return nodes


def write_photographs(folder: Path, count: int = 32) -> Path:
    """Noise over gradients, larger than the net's input."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    for i in range(count):
        tint = rng.integers(0, 256, 3)
        pixels = (np.linspace(0, 1, 24)[:, None, None] * tint + rng.integers(0, 60, (24, 30, 3))).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:02}.png")
    return folder
