"""Runs one model file for the JVM: lengths and stored tensors in on stdin, stored outputs back on stdout, big-endian.

The first word out is the size of the output in bytes.
"""

import struct
import sys
from collections.abc import Callable

import numpy as np


def open_tflite(path: str) -> tuple[int, Callable[[bytes], bytes]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(data: bytes) -> bytes:
        interpreter.set_tensor(taken["index"], np.frombuffer(data, taken["dtype"]).reshape(taken["shape"]))
        interpreter.invoke()
        return interpreter.get_tensor(given["index"]).tobytes()

    return int(np.prod(given["shape"])) * np.dtype(given["dtype"]).itemsize, run


def open_onnx(path: str) -> tuple[int, Callable[[bytes], bytes]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact on any host
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (taken,), given = session.get_inputs(), session.get_outputs()[0]
    dtypes = {"tensor(float)": np.float32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8}

    def run(data: bytes) -> bytes:
        image = np.frombuffer(data, dtypes[taken.type]).reshape(taken.shape)
        return session.run([given.name], {taken.name: image})[0].tobytes()

    return int(np.prod(given.shape)) * np.dtype(dtypes[given.type]).itemsize, run


def main() -> None:
    path = sys.argv[1]
    size, run = open_tflite(path) if path.endswith(".tflite") else open_onnx(path)
    out, source = sys.stdout.buffer, sys.stdin.buffer
    out.write(struct.pack(">i", size))
    out.flush()
    while head := source.read(4):
        out.write(run(source.read(*struct.unpack(">i", head))))
        out.flush()


main()
