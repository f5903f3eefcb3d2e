"""Runs one model file for the JVM: lengths and stored tensors in on stdin, stored outputs back on stdout, big-endian.

First come the number of outputs, and for each, in the file's order, the length of its name, the name and its size in
bytes.
"""

import struct
import sys
from collections.abc import Callable

import numpy as np

Sizes = dict[str, int]
Run = Callable[[bytes], list[np.ndarray]]


def open_tflite(path: str) -> tuple[Sizes, Run]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    (taken,), given = interpreter.get_input_details(), interpreter.get_output_details()

    def run(data: bytes) -> list[np.ndarray]:
        interpreter.set_tensor(taken["index"], np.frombuffer(data, taken["dtype"]).reshape(taken["shape"]))
        interpreter.invoke()
        return [interpreter.get_tensor(output["index"]) for output in given]

    return {output["name"]: size(output["shape"], output["dtype"]) for output in given}, run


def open_onnx(path: str) -> tuple[Sizes, Run]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact on any host
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (taken,), given = session.get_inputs(), session.get_outputs()
    dtypes = {
        "tensor(float)": np.float32,
        "tensor(int8)": np.int8,
        "tensor(uint8)": np.uint8,
        "tensor(int64)": np.int64,
    }

    def run(data: bytes) -> list[np.ndarray]:
        image = np.frombuffer(data, dtypes[taken.type]).reshape(taken.shape)
        return session.run(None, {taken.name: image})

    return {output.name: size(output.shape, dtypes[output.type]) for output in given}, run


def size(shape: list[int], dtype: type) -> int:
    return int(np.prod(shape)) * np.dtype(dtype).itemsize


def main() -> None:
    path = sys.argv[1]
    sizes, run = open_tflite(path) if path.endswith(".tflite") else open_onnx(path)
    out, source = sys.stdout.buffer, sys.stdin.buffer
    out.write(struct.pack(">i", len(sizes)))
    for name, length in sizes.items():
        encoded = name.encode()
        out.write(struct.pack(">i", len(encoded)) + encoded + struct.pack(">i", length))
    out.flush()
    while head := source.read(4):
        for stored in run(source.read(*struct.unpack(">i", head))):
            out.write(stored.tobytes())
        out.flush()


main()
