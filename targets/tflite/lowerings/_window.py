"""Sliding windows: what ONNX's pads, ceil_mode and dilations mean for TFLite's SAME, VALID and PAD."""

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import channels_last
from edgekit.targets.tflite.lowerings._pieces import cut, join

SAME, VALID = int(schema.Padding.SAME), int(schema.Padding.VALID)
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """A 2-D window over [N, C, H, W].

    Args:
        begin, end: padding that the output really reads, per spatial axis; a trailing pad row that no window
            touches (torch's symmetric padding at stride 2 and even size) is left out, a ceil_mode window beyond the
            input is in.
    """

    kernel: Pair
    strides: Pair
    dilations: Pair
    size: Pair
    begin: Pair
    end: Pair

    @staticmethod
    def of(node: Node, kernel: tuple[int, ...]) -> "Window":
        strides = _pair(node.attrs.get("strides", (1, 1)))
        dilations = _pair(node.attrs.get("dilations", (1, 1)))
        pads = tuple(node.attrs.get("pads", (0, 0, 0, 0)))
        size, out = _pair(node.input(0).shape[2:]), _pair(node.output.shape[2:])
        end = [(out[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - size[i] - pads[i] for i in range(2)]
        return Window(_pair(kernel), strides, dilations, size, _pair(pads[:2]), _pair(end))

    @property
    def is_valid(self) -> bool:
        """TFLite's VALID gives the same windows (trailing rows may be left over)."""
        return self.begin == (0, 0) and max(self.end) <= 0

    @property
    def is_same(self) -> bool:
        """TFLite's SAME gives the same windows: total padding split with the smaller half in front."""
        for i in range(2):
            out = -(-self.size[i] // self.strides[i])
            reach = (out - 1) * self.strides[i] + (self.kernel[i] - 1) * self.dilations[i] + 1
            total = max(reach - self.size[i], 0)
            if self.begin[i] != total // 2 or max(self.end[i], 0) != total - total // 2:
                return False
            if self.size[i] + self.begin[i] + self.end[i] != reach:  # another number of windows
                return False
        return True


def _pair(values: tuple[int, ...] | list[int]) -> Pair:
    return int(values[0]), int(values[1])


def pad_input(em: Emitter, source: Tensor, window: Window) -> tuple[Tensor, int]:
    """(source padded with zeros, SAME or VALID). Pads explicitly only where neither of TFLite's paddings is equal."""
    if window.is_valid:
        return source, VALID
    if window.is_same:
        return source, SAME
    return explicit_pad(em, source, window), VALID


def explicit_pad(em: Emitter, source: Tensor, window: Window) -> Tensor:
    """PAD with zeros in front of the window, on channels-last."""
    perm = channels_last(4)
    top, left = window.begin
    bottom, right = (max(edge, 0) for edge in window.end)
    n, c, h, w = source.shape
    padded = em.scratch(source, (n, c, h + top + bottom, w + left + right))
    amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    em.write("PAD", [em.input(source, perm), em.parameter(amounts, "pads")], padded, perm)
    return padded


def repeat_edges(em: Emitter, source: Tensor, window: Window) -> Tensor:
    """Pad with copies of the edge rows, then of the edge columns, on channels-last.

    Every window that reads a copy reads the row itself as well, so that a maximum stays what it is. XNNPACK takes
    SLICE and CONCATENATION, but no padding with the lowest value.
    """
    perm = channels_last(4)
    source = em.moved(source, perm)
    for axis, before, behind in zip((2, 3), window.begin, window.end, strict=True):
        copies = [(0, max(before, 0)), (source.shape[axis] - 1, max(behind, 0))]
        if not any(count for _, count in copies):
            continue
        first, last = ([_edge(em, source, axis, at)] * count if count else [] for at, count in copies)
        shape = list(source.shape)
        shape[axis] += len(first) + len(last)
        wider = em.scratch(source, tuple(shape))
        join(em, [*first, source, *last], wider, perm, axis)
        source = wider
    return source


def _edge(em: Emitter, source: Tensor, axis: int, at: int) -> Tensor:
    """One row or column."""
    shape, starts = list(source.shape), [0] * len(source.shape)
    shape[axis], starts[axis] = 1, at
    line = em.scratch(source, tuple(shape))
    cut(em, source, line, starts)
    return line
