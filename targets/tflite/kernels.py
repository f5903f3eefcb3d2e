"""Which operators of a file XNNPACK's kernels compute: it fuses some, leaves out others, and says neither.

It keeps their order, so the two lists are aligned: the cheapest way to give every kernel an operator, where an operator
may have several kernels in a row, or none.
"""

from collections.abc import Sequence

from ai_edge_litert import schema_py_generated as schema

from edgekit.target import EmittedNode, PlacedKernels
from edgekit.targets.tflite.layers import BUILTINS

KERNELS = {
    "CONV_2D": ("Convolution", "Fully Connected"),
    "DEPTHWISE_CONV_2D": ("Convolution",),
    "TRANSPOSE_CONV": ("Deconvolution",),
    "FULLY_CONNECTED": ("Fully Connected", "Dynamic Fully Connected", "Batch Matrix Multiply"),
    "BATCH_MATMUL": ("Batch Matrix Multiply", "Fully Connected", "Dynamic Fully Connected"),
    "AVERAGE_POOL_2D": ("Average Pooling", "Global Average Pooling", "Mean"),
    "MAX_POOL_2D": ("Max Pooling",),
    "MEAN": ("Mean", "Global Average Pooling"),
    "SUM": ("Sum", "Global Sum Pooling"),
    "MUL": ("Multiply",),
    "SUB": ("Subtract",),
    "DIV": ("Divide",),
    "ADD": ("Add",),
    "LOGISTIC": ("Sigmoid",),
    "HARD_SWISH": ("HardSwish",),
    "RELU": ("Clamp",),
    "RELU6": ("Clamp",),
    "RELU_N1_TO_1": ("Clamp",),
    "PAD": ("Constant Pad",),
    "QUANTIZE": ("Convert",),
    "DEQUANTIZE": ("Convert",),
    "CONCATENATION": ("Concatenate", "Copy"),
    "SPLIT": ("Split", "Copy"),
    "STRIDED_SLICE": ("Slice", "Static Slice"),
    "SLICE": ("Slice", "Static Slice"),
    "RESHAPE": ("Static Reshape", "Copy"),
    "EXPAND_DIMS": ("Static Expand", "Static Reshape", "Copy"),
    "RESIZE_BILINEAR": ("Resize Bilinear",),
    "SQUARED_DIFFERENCE": ("Squared Difference",),
}
"""What kernels of an operator's name begin with; any other operator's is its own name in other letters."""

VANISHING = frozenset(
    ("PAD", "RESHAPE", "EXPAND_DIMS", "SQUEEZE", "DEQUANTIZE", "QUANTIZE", "RELU", "RELU6", "TRANSPOSE")
)
"""Operators that XNNPACK computes inside of others, or not at all."""

ABSENT, VANISHED, FURTHER, STRANGE = 5.0, 0.5, 1.0, 20.0
"""Costs: an operator without a kernel; one of those above; a further kernel of an operator; one of another name."""


def place_kernels(data: bytes, kernels: Sequence[str], nodes: Sequence[int | None]) -> PlacedKernels:
    """The operator of each kernel.

    Args:
        kernels: names, in the order in which they ran.
        nodes: the operator's index where the runtime said it; None for a delegate's.
    """
    described = _operators(data)
    known = {node for node in nodes if node is not None}
    open_nodes = [index for index in range(len(described)) if index not in known]
    named = [kernel for kernel, node in zip(kernels, nodes, strict=True) if node is None]
    found = iter(align([described[index].operator for index in open_nodes], named))
    return PlacedKernels(described, tuple(open_nodes[next(found)] if node is None else node for node in nodes))


def align(operators: Sequence[str], kernels: Sequence[str]) -> list[int]:
    """For each kernel the position of its operator, never decreasing; the sum of the costs above is the least."""
    infinity = float("inf")
    # best[i][k]: the least cost of the first k kernels on the first i operators; how many of them the last one has.
    best = [[0.0] + [infinity] * len(kernels)]
    taken: list[list[int]] = []
    for operator in operators:
        before, row, counts = best[-1], [], []
        absent = VANISHED if operator in VANISHING else ABSENT
        for end in range(len(kernels) + 1):
            choices = [(before[end] + absent, 0)]
            cost = 0.0
            for count in range(1, min(end, 4) + 1):
                kernel = kernels[end - count]
                cost += (0.0 if _fits(operator, kernel) else STRANGE) + FURTHER * (count > 1)
                choices.append((before[end - count] + cost, count))
            least = min(choices)
            row.append(least[0])
            counts.append(least[1])
        best.append(row)
        taken.append(counts)
    found: list[int] = []
    end = len(kernels)
    for index in range(len(operators) - 1, -1, -1):
        found += [index] * taken[index][end]
        end -= taken[index][end]
    return found[::-1]


def _fits(operator: str, kernel: str) -> bool:
    return kernel.startswith(KERNELS.get(operator, ())) or _plain(kernel).startswith(_plain(operator))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _operators(data: bytes) -> tuple[EmittedNode, ...]:
    """Of the main graph; what each computes stands in for the module."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    graph = model.subgraphs[0]
    return tuple(
        EmittedNode(
            BUILTINS[model.operatorCodes[operator.opcodeIndex].builtinCode],
            bytes(graph.tensors[int(operator.outputs[0])].name or b"").decode("utf-8", "replace"),
        )
        for operator in graph.operators
    )
