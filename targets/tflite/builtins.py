"""TFLite's builtin operators: options table, and per dtype the lowest version that has the kernel.

A version that is too high locks the file out of older runtimes for nothing, so the lowest whose semantics are used is
written. Source: tensorflow/lite/tools/versioning/op_version.cc and runtime_version.cc. A rule that uses a feature with
a version of its own (grouped convolution, five axes) passes that version to Emitter.write.
"""

from dataclasses import dataclass

Version = tuple[int, str]  # (operator version, first runtime that has it)


@dataclass(frozen=True, slots=True)
class Builtin:
    """Args:
    options: stem of the schema's options class, or None.
    float32, int8, int16: lowest version per activation dtype; None where no kernel exists.
    """

    options: str | None
    float32: Version | None
    int8: Version | None = None
    int16: Version | None = None

    def version(self, dtype: str) -> Version | None:
        return {"int8": self.int8, "uint8": self.int8, "int16": self.int16}.get(dtype, self.float32)


BUILTINS: dict[str, Builtin] = {
    "ARG_MIN": Builtin("ArgMin", (1, "1.9.0"), (2, "1.14.0")),
    "CAST": Builtin("Cast", (1, "1.5.0")),
    "CEIL": Builtin(None, (1, "1.14.0")),
    "COS": Builtin(None, (1, "1.14.0")),
    "CUMSUM": Builtin("Cumsum", (1, "2.4.0")),
    "FLOOR": Builtin(None, (1, "1.9.0")),
    "FLOOR_MOD": Builtin("FloorMod", (1, "1.13.0")),
    "GATHER_ND": Builtin("GatherNd", (1, "1.14.0")),
    "LOGICAL_AND": Builtin("LogicalAnd", (1, "1.11.0")),
    "LOGICAL_NOT": Builtin("LogicalNot", (1, "1.11.0")),
    "LOGICAL_OR": Builtin("LogicalOr", (1, "1.11.0")),
    "NOT_EQUAL": Builtin("NotEqual", (1, "1.14.0")),
    "REDUCE_PROD": Builtin("Reducer", (1, "1.11.0")),
    "ROUND": Builtin(None, (1, "1.14.0")),
    "SIN": Builtin(None, (1, "1.9.0")),
    "TOPK_V2": Builtin("TopKV2", (1, "1.7.0")),
    "ABS": Builtin(None, (1, "1.13.0")),
    "ADD": Builtin("Add", (1, "1.5.0"), (2, "1.14.0"), (3, "2.4.0")),
    "ARG_MAX": Builtin("ArgMax", (1, "1.9.0"), (2, "1.14.0")),
    "AVERAGE_POOL_2D": Builtin("Pool2D", (1, "1.5.0"), (2, "1.14.0"), (3, "2.3.0")),
    "BATCH_MATMUL": Builtin("BatchMatMul", (1, "2.3.0"), (2, "2.3.0"), (3, "2.4.0")),
    "CONCATENATION": Builtin("Concatenation", (1, "1.5.0"), (2, "1.14.0"), (3, "2.3.0")),
    "CONV_2D": Builtin("Conv2D", (1, "1.5.0"), (3, "1.14.0"), (4, "2.3.0")),
    "DEPTHWISE_CONV_2D": Builtin("DepthwiseConv2D", (1, "1.5.0"), (3, "1.14.0"), (5, "2.3.0")),
    "DEPTH_TO_SPACE": Builtin("DepthToSpace", (1, "2.1.0"), (2, "2.5.0")),
    "DEQUANTIZE": Builtin("Dequantize", None, (2, "1.14.0"), (3, "1.15.0")),
    "DIV": Builtin("Div", (1, "1.6.0")),
    "ELU": Builtin(None, (1, "1.14.0")),
    "EQUAL": Builtin("Equal", (1, "1.14.0")),
    "EXP": Builtin("Exp", (1, "1.7.0")),
    "FULLY_CONNECTED": Builtin("FullyConnected", (1, "1.5.0"), (4, "1.14.0"), (7, "2.3.0")),
    "GATHER": Builtin("Gather", (1, "1.6.0"), (2, "1.14.0"), (4, "2.4.0")),
    "GELU": Builtin("Gelu", (1, "2.9.0"), (2, "2.9.0")),
    "GREATER": Builtin("Greater", (1, "1.14.0")),
    "GREATER_EQUAL": Builtin("GreaterEqual", (1, "1.14.0")),
    "HARD_SWISH": Builtin("HardSwish", (1, "1.15.0"), (1, "1.15.0")),
    "LEAKY_RELU": Builtin("LeakyRelu", (1, "1.13.1"), (1, "1.13.1"), (2, "2.3.0")),
    "LOGISTIC": Builtin(None, (1, "1.14.0"), (2, "1.14.0"), (3, "2.3.0")),
    "LESS": Builtin("Less", (1, "1.14.0")),
    "LESS_EQUAL": Builtin("LessEqual", (1, "1.14.0")),
    "LOG": Builtin(None, (1, "1.14.0")),
    "LOG_SOFTMAX": Builtin("LogSoftmax", (1, "1.14.0")),
    "MAXIMUM": Builtin("MaximumMinimum", (1, "1.14.0"), (2, "1.14.0"), (4, "2.3.0")),
    "MAX_POOL_2D": Builtin("Pool2D", (1, "1.5.0"), (2, "1.14.0"), (3, "2.3.0")),
    "MEAN": Builtin("Reducer", (1, "1.6.0"), (2, "1.14.0"), (3, "2.4.0")),
    "MINIMUM": Builtin("MaximumMinimum", (1, "1.14.0"), (2, "1.14.0"), (4, "2.3.0")),
    "MUL": Builtin("Mul", (1, "1.5.0"), (2, "1.14.0"), (4, "2.3.0")),
    "NEG": Builtin(None, (1, "1.9.0")),
    "PRELU": Builtin(None, (1, "1.8.0")),
    "PAD": Builtin("Pad", (1, "1.5.0"), (2, "1.14.0"), (3, "2.4.0")),
    "PADV2": Builtin("PadV2", (1, "1.9.0"), (2, "1.14.0"), (3, "2.4.0")),
    "POW": Builtin("Pow", (1, "1.10.0")),
    "QUANTIZE": Builtin("Quantize", (1, "1.14.0"), (1, "1.14.0"), (2, "1.15.0")),
    "REDUCE_MAX": Builtin("Reducer", (1, "1.11.0"), (2, "1.14.0"), (3, "2.5.0")),
    "REDUCE_MIN": Builtin("Reducer", (1, "1.11.0"), (2, "1.14.0"), (3, "2.5.0")),
    "RELU": Builtin(None, (1, "1.5.0"), (2, "2.1.0"), (3, "2.5.0")),
    "RELU6": Builtin(None, (1, "1.5.0"), (2, "1.14.0"), (3, "2.5.0")),
    "RELU_N1_TO_1": Builtin(None, (1, "1.5.0"), (1, "1.14.0")),
    "RESHAPE": Builtin("Reshape", (1, "1.5.0"), (1, "1.5.0"), (1, "1.5.0")),
    "RESIZE_BILINEAR": Builtin("ResizeBilinear", (1, "1.7.0"), (2, "1.14.0"), (4, "2.5.0")),
    "RESIZE_NEAREST_NEIGHBOR": Builtin("ResizeNearestNeighbor", (1, "1.13.1"), (2, "1.14.0"), (4, "2.4.0")),
    "RSQRT": Builtin(None, (1, "1.10.0")),
    "SELECT_V2": Builtin("SelectV2", (1, "2.2.0")),
    "SLICE": Builtin("Slice", (1, "1.14.0"), (2, "1.14.0"), (4, "2.4.0")),
    "SOFTMAX": Builtin("Softmax", (1, "1.5.0"), (2, "1.14.0"), (3, "2.3.0")),
    "SPACE_TO_DEPTH": Builtin("SpaceToDepth", (1, "1.5.0"), (2, "1.14.0")),
    "SQRT": Builtin(None, (1, "1.10.0")),
    "STRIDED_SLICE": Builtin("StridedSlice", (1, "1.6.0"), (2, "1.14.0"), (2, "1.14.0")),
    "SUB": Builtin("Sub", (1, "1.6.0"), (2, "1.14.0"), (5, "2.4.0")),
    "SUM": Builtin("Reducer", (1, "1.10.0"), (2, "1.15.0")),
    "TANH": Builtin(None, (1, "1.14.0"), (2, "1.14.0"), (3, "2.3.0")),
    "TRANSPOSE": Builtin("Transpose", (1, "1.6.0"), (2, "1.14.0"), (5, "2.4.0")),
    "TRANSPOSE_CONV": Builtin("TransposeConv", (3, "2.3.0"), (3, "2.3.0"), (3, "2.3.0")),
}
