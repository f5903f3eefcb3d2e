"""A layer's weights as a product of smaller ones: truncated SVD, channel, spatial and Tucker-2 decompositions.

The best matrix of rank t near W f32[u, v] is U_t U_t^T W, where U holds the first t left singular vectors of W (Eckart
and Young), and ||W - W_t||_F^2 is the sum of the other singular values squared. With inputs of second moments
H = E[x x^T] the error that counts is E||(W - W_t) x||^2 = ||(W - W_t) H^(1/2)||_F^2. The best is U_t U_t^T W as well,
with U of W H^(1/2), the eigenvectors of W H W^T: the second moments of the layer's outputs without bias. So whitening
needs a matrix of outputs by outputs, and no inverse.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Kernels = Literal["channel", "spatial", "tucker", "none"]


@dataclass(frozen=True, slots=True)
class Moments:
    """What a layer's outputs are on images.

    Args:
        outputs: f64[u, u], E[(y - b)(y - b)^T].
        input_power: E|x|^2 per weight of a filter: what an input that was never seen may bring.
    """

    outputs: Array = field(repr=False)
    input_power: float


RIDGE = 0.01
"""Of the inputs' mean power, added to every direction: few images do not span a large layer's outputs."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A matrix taken apart.

    Args:
        matrix: f64[u, v].
        vectors: f64[u, n], by falling `energies`, f64[n]: what each adds to the squared norm of the outputs.
    """

    matrix: Array = field(repr=False)
    vectors: Array = field(repr=False)
    energies: Array = field(repr=False)

    def rank_of(self, share: float) -> int:
        """The least rank with at least that share of the energy."""
        total = self.energies.sum()
        if total <= 0:
            return 1
        return int(np.searchsorted(np.cumsum(self.energies), share * total * (1 - 1e-12)) + 1)

    def error(self, rank: int) -> float:
        """Squared norm of what a rank leaves out."""
        return float(self.energies[rank:].sum())

    def factors(self, rank: int) -> tuple[Array, Array]:
        """(B f64[u, t], A f64[t, v]) with B A near the matrix; the power is shared evenly by both."""
        first = self.vectors[:, :rank].T @ self.matrix
        sizes = np.sqrt(np.maximum(np.linalg.norm(first, axis=1), 1e-30))
        return self.vectors[:, :rank] * sizes, first / sizes[:, None]


def take_apart(matrix: Array, moments: Moments | None = None) -> Spectrum:
    """The spectrum of a matrix f[u, v], weighed by what its outputs are where that is known."""
    matrix = np.asarray(matrix, np.float64)
    if moments is None:
        vectors, singular, _ = np.linalg.svd(matrix, full_matrices=False)
        return Spectrum(matrix, vectors, np.square(singular))
    gram = moments.outputs + RIDGE * moments.input_power * matrix @ matrix.T
    energies, vectors = np.linalg.eigh((gram + gram.T) / 2)
    count = min(matrix.shape)
    return Spectrum(matrix, vectors[:, ::-1][:, :count], np.maximum(energies[::-1][:count], 0))


@dataclass(frozen=True, slots=True)
class Window:
    """A convolution's geometry, (rows, columns) each; pads are the same on both sides.

    Args:
        size: of the kernel.
        inputs, outputs: pixels of the feature maps.
    """

    size: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    dilations: tuple[int, int] = (1, 1)
    inputs: tuple[int, int] = (1, 1)
    outputs: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class Step:
    """One convolution of a decomposition: weights f64[out, in, rows, columns] and its geometry."""

    weight: Array = field(repr=False)
    window: Window = Window()


@dataclass(frozen=True, slots=True)
class Kernel:
    """Weights f[out, in, rows, columns] (a matrix is a kernel of one pixel) and where they are applied."""

    weight: Array = field(repr=False)
    window: Window = Window()
    moments: Moments | None = field(default=None, repr=False)

    @property
    def macs(self) -> int:
        return self.weight.size * math.prod(self.window.outputs)

    @property
    def is_matrix(self) -> bool:
        return self.window.size == (1, 1)


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A way to take a kernel apart: its spectrum, the steps of a rank, and their MACs."""

    spectrum: Spectrum
    steps: Callable[[int], tuple[Step, ...]]
    macs: Callable[[int], int]

    @property
    def most(self) -> int:
        return len(self.spectrum.energies)


def decompose(kernel: Kernel, kernels: Kernels) -> Decomposition | None:
    """A kernel's decomposition; None where it is left whole."""
    if kernel.is_matrix:
        return _channel(kernel)
    if min(kernel.window.size) == 1 and kernels == "spatial":
        return _channel(kernel)
    makers = {"channel": _channel, "spatial": _spatial, "tucker": _tucker}
    return makers[kernels](kernel) if kernels in makers else None


def _channel(kernel: Kernel) -> Decomposition:
    """The kernel to t channels, then 1x1: W as f[out, in * rows * columns]."""
    outputs, *rest = kernel.weight.shape
    spectrum = take_apart(kernel.weight.reshape(outputs, -1), kernel.moments)
    behind = Window(inputs=kernel.window.outputs, outputs=kernel.window.outputs)

    def steps(rank: int) -> tuple[Step, ...]:
        second, first = spectrum.factors(rank)
        return Step(first.reshape(rank, *rest), kernel.window), Step(second.reshape(outputs, rank, 1, 1), behind)

    pixels = math.prod(kernel.window.outputs)
    return Decomposition(spectrum, steps, lambda rank: rank * (kernel.weight[0].size + outputs) * pixels)


def _spatial(kernel: Kernel) -> Decomposition:
    """rows x 1 to t channels, then 1 x columns: W as f[out * columns, in * rows]."""
    outputs, inputs, rows, columns = kernel.weight.shape
    spectrum = take_apart(kernel.weight.transpose(0, 3, 1, 2).reshape(outputs * columns, inputs * rows))
    w = kernel.window
    between = (w.outputs[0], w.inputs[1])
    down = Window((rows, 1), (w.strides[0], 1), (w.pads[0], 0), (w.dilations[0], 1), w.inputs, between)
    along = Window((1, columns), (1, w.strides[1]), (0, w.pads[1]), (1, w.dilations[1]), between, w.outputs)

    def steps(rank: int) -> tuple[Step, ...]:
        second, first = spectrum.factors(rank)
        return (
            Step(first.reshape(rank, inputs, rows, 1), down),
            Step(second.reshape(outputs, columns, rank).transpose(0, 2, 1)[:, :, None], along),
        )

    first, second = inputs * rows * math.prod(between), outputs * columns * math.prod(w.outputs)
    return Decomposition(spectrum, steps, lambda rank: rank * (first + second))


def _tucker(kernel: Kernel) -> Decomposition:
    """1x1 to r channels, the kernel between r and t channels, 1x1 to the outputs: Kim et al. 2016, arXiv:1511.06530.

    The rank is that of the outputs; the inputs get the rank with the same share of their own energy.
    """
    outputs, inputs, *_ = kernel.weight.shape
    spectrum = take_apart(kernel.weight.reshape(outputs, -1), kernel.moments)
    inner = take_apart(kernel.weight.transpose(1, 0, 2, 3).reshape(inputs, -1))
    w = kernel.window
    front, behind = Window(inputs=w.inputs, outputs=w.inputs), Window(inputs=w.outputs, outputs=w.outputs)
    total = float(spectrum.energies.sum()) or 1.0

    def width_of(rank: int) -> int:
        return int(min(inner.rank_of(1 - spectrum.error(rank) / total), inputs))

    def macs(rank: int) -> int:
        width, places = width_of(rank), math.prod(w.outputs)
        inner_macs = width * inputs * math.prod(w.inputs)
        return int(inner_macs + rank * (width * math.prod(w.size) + outputs) * places)

    def steps(rank: int) -> tuple[Step, ...]:
        width = width_of(rank)
        u, v = spectrum.vectors[:, :rank], inner.vectors[:, :width]
        core = np.einsum("oihw,ot,ir->trhw", np.asarray(kernel.weight, np.float64), u, v, optimize=True)
        return Step(v.T[:, :, None, None], front), Step(core, w), Step(u[:, :, None, None], behind)

    return Decomposition(spectrum, steps, macs)
