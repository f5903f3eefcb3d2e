"""Element-wise operators: they take tensors as they lie."""

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import Perm, Shape, identity, reshape_perm
from edgekit.targets.tflite.rules import INTEGERS, Lower, lowering

# XNNPACK's bounds on input scale / output scale of the int8 ADD and MUL (xnnpack_delegate.cc).
ADD_SCALES = (2.0**-10, 2.0**8)
MUL_SCALES = (2.0**-16, 2.0**8)
COMPUTED = ("float32", "int8", "int16")
"""What the arithmetic of these rules is proven on."""
MAX_BROADCAST_AXES = 4  # MUL's kernels abort beyond that, and of the others only newer versions go further


def legal_binary(node: Node) -> str | None:
    if node.input(0).dtype not in COMPUTED:
        return f"{node.input(0).dtype} operands have no rule"
    if all(tensor is None or tensor.is_constant for tensor in node.inputs):
        return "both operands are constants; simplify the graph first"
    if len(merged_axes(node.input(0).shape, node.input(1).shape)) > MAX_BROADCAST_AXES:
        return f"broadcasting over more than {MAX_BROADCAST_AXES} axes has no TFLite kernel"
    return None


def legal_extremum(node: Node) -> str | None:
    if len(node.inputs) != 2:
        return f"{len(node.inputs)} operands have no TFLite kernel; chain operators of two"
    return legal_binary(node)


def merged_axes(first: Shape, second: Shape) -> list[list[int]]:
    """The fewest groups of neighbouring axes over which two shapes broadcast: in a group, the same side widens."""
    rank = max(len(first), len(second))
    first, second = (1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second
    groups: list[list[int]] = []
    last = None
    for axis, sizes in enumerate(zip(first, second, strict=True)):
        widens = None if sizes == (1, 1) else (sizes[0] == 1, sizes[1] == 1)
        if groups and (widens is None or last is None or widens == last):
            groups[-1].append(axis)
        else:
            groups.append([axis])
        last = widens or last
    return groups


def binary_operands(em: Emitter, node: Node) -> tuple[list[Tensor], Perm]:
    """Both operands at the output's rank, and one layout: the one in which the larger activation lies."""
    rank = len(node.output.shape)
    operands = [at_rank(em, node.input(index), rank) for index in range(2)]
    moving = [tensor for tensor in operands if not tensor.is_constant]
    leader = max(moving, key=lambda tensor: int(np.prod(tensor.shape)))
    return operands, em.layout(leader)


def merge_operands(em: Emitter, operands: list[Tensor]) -> tuple[list[Tensor], Shape]:
    """Operands of many axes as ones of few, and the shape of their result, in ONNX order."""
    groups = merged_axes(operands[0].shape, operands[1].shape)
    merged = []
    for tensor in operands:
        shape = tuple(int(np.prod([tensor.shape[axis] for axis in group])) for group in groups)
        twin = em.scratch(tensor, shape)
        if tensor.data is not None:
            twin.data = tensor.data.reshape(shape)
        else:
            em.reshape(em.moved(tensor, identity(len(tensor.shape))), twin, identity(len(shape)))
        merged.append(twin)
    return merged, tuple(map(max, merged[0].shape, merged[1].shape))


def at_rank(em: Emitter, tensor: Tensor, rank: int) -> Tensor:
    """ONNX broadcasting: leading axes of size 1."""
    missing = rank - len(tensor.shape)
    if not missing:
        return tensor
    shape = (1,) * missing + tensor.shape
    wide = em.scratch(tensor, shape)
    if tensor.data is not None:
        wide.data = tensor.data.reshape(shape)
        if tensor.quant is not None and tensor.quant.axis is not None:
            raise AssertionError("per-channel constants appear only as weights")
    else:
        perm = reshape_perm(tensor.shape, em.layout(tensor), shape)
        assert perm is not None, "leading axes of size 1 never move data"
        em.reshape(tensor, wide, perm)
    return wide


def _scales_out_of_bounds(node: Node, bounds: tuple[float, float], product: bool) -> str | None:
    quants = [tensor.quant for tensor in (*node.inputs, node.output) if tensor is not None]
    if len(quants) != 3 or any(quant is None for quant in quants):
        return None
    a, b, out = (float(quant.scale[0]) for quant in quants if quant is not None)
    ratios = [a * b / out] if product else [a / out, b / out]
    if all(bounds[0] <= ratio < bounds[1] for ratio in ratios):
        return None
    shown = ", ".join(f"{ratio:.3g}" for ratio in ratios)
    return f"input scale / output scale ({shown}) is outside XNNPACK's bounds [{bounds[0]:.3g}, {bounds[1]:.3g})"


def delegate_add(node: Node) -> str | None:
    return _scales_out_of_bounds(node, ADD_SCALES, product=False)


def delegate_mul(node: Node) -> str | None:
    return _scales_out_of_bounds(node, MUL_SCALES, product=True)


def _lower_binary(builtin: str) -> Lower:
    def lower(em: Emitter, node: Node) -> None:
        operands, perm = binary_operands(em, node)
        output, many = node.output, len(perm) > MAX_BROADCAST_AXES and operands[0].shape != operands[1].shape
        if many:
            operands, shape = merge_operands(em, operands)
            output, perm = em.scratch(node.output, shape), identity(len(shape))
        # pot_scale_int16 asks for power-of-two scales; ours are free, which version 3 of the int16 kernel takes.
        options = {"potScaleInt16": False} if builtin in ("ADD", "SUB") else {}
        version = None
        if builtin == "MUL" and node.output.dtype == "int8" and _product_scale(node) >= 1:
            version = (3, "1.15.0")
        inputs = [em.input(tensor, perm) for tensor in operands]
        em.write(builtin, inputs, output, perm, options, clamp=node.clamp, version=version)
        if many:
            em.reshape(output, node.output, identity(len(node.output.shape)))

    return lower


def _product_scale(node: Node) -> float:
    scales = [tensor.quant.scale[0] for tensor in (*node.inputs, node.output) if tensor is not None and tensor.quant]
    return float(scales[0] * scales[1] / scales[2]) if len(scales) == 3 else 0.0


lowering("Add", ("ADD",), integer=INTEGERS, legal=legal_binary, delegate=delegate_add)(_lower_binary("ADD"))
lowering("Sub", ("SUB",), integer=INTEGERS, legal=legal_binary, delegate=delegate_add)(_lower_binary("SUB"))
lowering(
    "Mul",
    ("MUL",),
    integer=INTEGERS,
    legal=legal_binary,
    delegate=delegate_mul,
)(_lower_binary("MUL"))
lowering("Div", ("DIV",), legal=legal_binary)(_lower_binary("DIV"))
lowering("PRelu", ("PRELU",), legal=lambda node: None if node.input(1).is_constant else "slopes must be constants")(
    _lower_binary("PRELU")
)
for _op, _builtin in (("Min", "MINIMUM"), ("Max", "MAXIMUM")):
    lowering(_op, (_builtin,), integer=INTEGERS, same_quant=True, joins=True, legal=legal_extremum)(
        _lower_binary(_builtin)
    )


def _lower_unary(builtin: str) -> Lower:
    def lower(em: Emitter, node: Node) -> None:
        source = node.input(0)
        em.write(builtin, [em.input(source)], node.output, em.layout(source))

    return lower


lowering("Sigmoid", ("LOGISTIC",), integer=INTEGERS)(_lower_unary("LOGISTIC"))
lowering("Tanh", ("TANH",), integer=INTEGERS)(_lower_unary("TANH"))
lowering("Sqrt", ("SQRT",))(_lower_unary("SQRT"))
lowering("Exp", ("EXP",))(_lower_unary("EXP"))
lowering("Log", ("LOG",))(_lower_unary("LOG"))
lowering("Abs", ("ABS",))(_lower_unary("ABS"))
lowering("Neg", ("NEG",))(_lower_unary("NEG"))
lowering("Floor", ("FLOOR",))(_lower_unary("FLOOR"))
lowering("Ceil", ("CEIL",))(_lower_unary("CEIL"))
for _op in ("Round", "Sin", "Cos"):
    _builtin = _op.upper()
    lowering(_op, (_builtin,), delegate=lambda _, name=_builtin: f"XNNPACK has no {name}")(  # type: ignore[misc]
        _lower_unary(_builtin)
    )


def legal_pow(node: Node) -> str | None:
    exponent = node.input(1)
    return None if exponent.data is not None and exponent.data.size == 1 else "the exponent must be one constant"


@lowering("Pow", ("MUL", "SQRT", "RSQRT", "POW"), legal=legal_pow)
def lower_pow(em: Emitter, node: Node) -> None:
    """x^2, x^0.5 and x^-0.5 have operators that XNNPACK takes; POW it does not."""
    source, exponent = node.input(0), float(node.input(1).numbers().reshape(()))
    index, perm = em.input(source), em.layout(source)
    if exponent == 2.0:
        em.write("MUL", [index, index], node.output, perm)
    elif abs(exponent) == 0.5:
        em.write("SQRT" if exponent > 0 else "RSQRT", [index], node.output, perm)
    else:
        em.write("POW", [index, em.scalar(exponent, source)], node.output, perm)
