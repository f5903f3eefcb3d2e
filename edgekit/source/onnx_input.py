"""The one input of an ONNX graph: float32, batch 1, channels first, every size fixed."""

import onnx_ir as ir

from edgekit.errors import EdgekitError
from edgekit.graph.shapes import forget_shapes
from edgekit.source.choices import Shape

AXES = ("batch", "channels", "height", "width")


def make_input_static(model: ir.Model, size: tuple[int, int] | None, where: str) -> Shape:
    """Fix the input's shape in place and forget every shape that was inferred from the old one.

    An unknown batch becomes 1, unknown channels 3, unknown height and width `size`.

    Returns:
        (1, C, H, W).

    Errors:
        EK203 more than one input, another rank, dtype or layout, a dimension that stays unknown, or one that is fixed
        to something else than was asked for.
    """
    image = _only_input(model, where)
    dimensions = _dimensions(image, where)
    wanted = (1, None, *(size or (None, None)))
    given = tuple(d if isinstance(d, int) and d > 0 else None for d in dimensions)
    unknown = [i for i in (2, 3) if given[i] is None and wanted[i] is None]
    if unknown:
        named = ", ".join(f"{AXES[i]} {_symbol(dimensions[i])}" for i in unknown)
        raise _refused(f"input {image.name!r} has a dynamic {named}", where, "fix the size with --input-size HxW")
    other = [i for i in (0, 2, 3) if None not in (given[i], wanted[i]) and given[i] != wanted[i]]
    if other:
        fixed = "x".join(map(str, given[2:])) if other != [0] else f"batch {given[0]}"
        asked = "x".join(map(str, wanted[2:])) if other != [0] else "batch 1"
        fix = "leave --input-size out, or export the file for that size" if other != [0] else "export it with batch 1"
        raise _refused(f"the file is made for {fixed}, not {asked}", where, fix)
    channels, height, width = (given[i] or wanted[i] or 3 for i in (1, 2, 3))
    shape = (1, channels, height, width)
    if given != shape:
        forget_shapes(model)
    image.shape = ir.Shape(shape)
    return shape


def _only_input(model: ir.Model, where: str) -> ir.Value:
    inputs = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
    if len(inputs) != 1:
        names = ", ".join(str(value.name) for value in inputs) or "none"
        raise _refused(
            f"the graph takes {len(inputs)} inputs ({names}), and a file of edgekit takes one image",
            where,
            "export it from a module that takes one image and makes the others: constants, or channels of it",
        )
    image = inputs[0]
    if image.dtype != ir.DataType.FLOAT:
        raise _refused(
            f"input {image.name!r} is {image.dtype.name.lower() if image.dtype else 'of no type'}, not float32",
            where,
            "export the model with a float32 input; edgekit chooses the file's input type itself (--io)",
        )
    return image


def _dimensions(image: ir.Value, where: str) -> list[int | str | None]:
    if image.shape is None or len(image.shape) != 4:
        rank = "no rank" if image.shape is None else f"rank {len(image.shape)}"
        raise _refused(f"input {image.name!r} has {rank}, not [batch, channels, height, width]", where, "export images")
    dimensions = [d if isinstance(d, int) else d.value for d in image.shape]
    if dimensions[3] in (1, 3) and dimensions[1] not in (1, 3):
        raise _refused(
            f"input {image.name!r} is channels-last ({'x'.join(map(_symbol, dimensions))})",
            where,
            "export the model with channels first: [batch, channels, height, width]",
        )
    return dimensions


def _symbol(dimension: object) -> str:
    return str(dimension) if isinstance(dimension, int) and dimension > 0 else f"{dimension or '?'!s}"


def _refused(what: str, where: str, fix: str) -> EdgekitError:
    return EdgekitError("EK203", what=what, where=where, fix=fix)
