"""Resize in every coordinate system that has a kernel or a rule, DepthToSpace and SpaceToDepth."""

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net


def resize(mode: str, coordinates: str, size: tuple[int, int], rounding: str = "", **attributes: object) -> Build:
    def build(net: Net) -> str:
        names = {"mode": mode, "coordinate_transformation_mode": coordinates, **attributes}
        if rounding:
            names["nearest_mode"] = rounding
        return net.op("Resize", net.input(1, 3, 4, 6), "", "", net.integers(1, 3, *size), **names)

    return build


def by_scales(scales: list[float], **attributes: object) -> Build:
    def build(net: Net) -> str:
        return net.op("Resize", net.input(1, 3, 4, 6), "", net.constant(scales), **attributes)

    return build


def of_convolution(net: Net) -> str:
    """FPN: between convolutions nothing moves."""
    grown = net.op(
        "Resize",
        net.conv(net.input(1, 3, 4, 4), 3, 4),
        "",
        net.constant([1.0, 1.0, 2.0, 2.0]),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return net.conv(grown, 4, 4)


def channels(net: Net) -> str:
    return net.op("Resize", net.input(1, 3, 4, 6), "", net.constant([1.0, 2.0, 1.0, 1.0]))


def shuffle(op: str, channels_in: int, **attributes: object) -> Build:
    return lambda net: net.op(op, net.input(1, channels_in, 4, 6), blocksize=2, **attributes)


DOUBLE, HALF, ODD, EIGHT = (8, 12), (2, 3), (7, 9), (32, 48)
TORCH = "pytorch_half_pixel"
INTEGER = ("int8", "int16")
PIXELWISE = ("GATHER", "RESIZE_NEAREST_NEIGHBOR")

CASES = (
    Case("Resize", "nearest, doubled", resize("nearest", "asymmetric", DOUBLE, "floor"), absent=PIXELWISE),
    Case("Resize", "nearest, rows only", resize("nearest", "asymmetric", (12, 6), "floor"), absent=PIXELWISE),
    Case("Resize", "nearest, columns only", resize("nearest", "asymmetric", (4, 30), "floor"), absent=PIXELWISE),
    Case("Resize", "nearest, too often for one concatenation", resize("nearest", "asymmetric", (24, 36), "floor")),
    Case("Resize", "nearest, odd size", resize("nearest", "asymmetric", ODD, "floor"), absent=("GATHER",)),
    Case("Resize", "nearest, halved", resize("nearest", "asymmetric", HALF, "floor"), absent=("GATHER",)),
    Case("Resize", "nearest, half pixels", resize("nearest", "half_pixel", DOUBLE), absent=("GATHER",)),
    Case("Resize", "nearest, corners", resize("nearest", "align_corners", ODD, "round_prefer_ceil")),
    Case("Resize", "nearest, rounded up", resize("nearest", "asymmetric", ODD, "ceil")),
    Case("Resize", "nearest by scales", by_scales([1.0, 1.0, 2.0, 2.0], mode="nearest", nearest_mode="floor")),
    Case("Resize", "nearest of a convolution", of_convolution, absent=("TRANSPOSE",)),
    Case("Resize", "bilinear, half pixels, doubled", resize("linear", "half_pixel", DOUBLE)),
    Case(
        "Resize",
        "bilinear, half pixels, odd",
        resize("linear", TORCH, ODD),
        steps16=97,
        why="int16 weighs pixels in 10 bits",
    ),
    Case("Resize", "bilinear, half pixels, halved", resize("linear", TORCH, HALF)),
    Case("Resize", "bilinear, corners", resize("linear", "align_corners", ODD)),
    Case("Resize", "bilinear, plain", resize("linear", "asymmetric", DOUBLE)),
    Case("Resize", "bilinear, another scale behind it", resize("linear", TORCH, DOUBLE), INTEGER, rescale=True),
    Case(
        "Resize",
        "nearest, eight times",
        resize("nearest", "asymmetric", EIGHT, "floor"),
        absent=("RESIZE_NEAREST_NEIGHBOR",),
    ),
    Case("Resize", "cubic", resize("cubic", "half_pixel", DOUBLE), ("float32",), absent=("TRANSPOSE",)),
    Case("Resize", "channels", channels, ("float32",), rejected="only height and width"),
    Case("Resize", "antialiased", resize("linear", "half_pixel", HALF, antialias=1), ("float32",)),
    Case(
        "Resize",
        "other coordinates",
        by_scales([1.0, 1.0, 1.3, 1.3], mode="linear"),
        ("float32",),
    ),
    Case(
        "Resize",
        "half_pixel_symmetric",
        resize("linear", "half_pixel_symmetric", ODD),
        ("float32",),
    ),
    Case("DepthToSpace", "rows of depth", shuffle("DepthToSpace", 12), absent=("GATHER", "TRANSPOSE")),
    Case("DepthToSpace", "pixel shuffle", shuffle("DepthToSpace", 12, mode="CRD"), absent=("TRANSPOSE",)),
    Case(
        "DepthToSpace", "pixel shuffle, another scale", shuffle("DepthToSpace", 12, mode="CRD"), ("int8",), rescale=True
    ),
    Case("SpaceToDepth", "rows of depth", shuffle("SpaceToDepth", 3), absent=("TRANSPOSE",)),
)
