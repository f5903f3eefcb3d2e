"""Runs the float graph on calibration images and records the range of every value that will be stored as integers.

Budget: 100 images of MobileNetV3-Small in about a CPU second. Images run one by one, as many at a time as there are
cores and as MAPS_AHEAD has room for: a canonical graph has batch size 1, a batch of feature maps only leaves the cache
sooner, and two images on two cores need no barrier where two threads inside one operator do. What they give is observed
in their order, so the number of cores changes no result. Bounds are taken over all elements; the
histogram takes a fixed subset of each feature map, because counting all of them would cost more than the inference.
"""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import gcd, prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from edgekit.errors import EdgekitError, Table
from edgekit.graph.module_path import module_of
from edgekit.graph.session import REFUSALS, open_graph, refused
from edgekit.progress import Step
from edgekit.quant.observers import ChannelObserver, HistogramObserver, MeanObserver, Range
from edgekit.quant.plan import make_plan, values_of

FloatArray = NDArray[np.float32]
Doubles = NDArray[np.float64]

# Elements of one feature map of one image that enter the histogram.
SAMPLES_PER_MAP = 2048
# Images whose samples are counted together: one bincount per value and chunk.
CHUNK = 16
# Bytes of feature maps that may be computed ahead of the observers. EfficientNet-L2 makes 5.9 GB of them per image, of
# which four lay in memory at once before there was a limit.
MAPS_AHEAD = 1 << 30


def calibrate(
    model: ir.Model,
    batches: Iterable[FloatArray],
    progress: Step | None = None,
    keep_float: Collection[str] = (),
) -> dict[str, Range]:
    """Observe an integer-ready float graph.

    Args:
        model: canonical graph of batch size 1, as `prepare_integer` returns it; it is not changed.
        batches: f32[n, C, H, W] each, preprocessed. Memory does not depend on how many there are, and the result
            depends neither on their order nor on how they are batched.
        progress: told how many images were observed.
        keep_float: names of nodes that may stay in float32: the integer nodes behind them need ranges of their own.

    Returns:
        Value name -> Range, for every value that needs one (values stored with another's parameters do not).

    Raises:
        EdgekitError: EK401 for no images, nothing to quantize, or a NaN or infinite value, named by its module.
    """
    check_constants(model)
    plan, values = make_plan(model), values_of(model)
    needed = [*plan.observed, *(make_plan(model, keep_float).observed if keep_float else ())]
    ranged = [name for name in dict.fromkeys(needed) if values[name].const_value is None]
    observers = {
        name: ValueObserver(name in ranged, plan.averaged.get(name))
        for name in dict.fromkeys([*ranged, *plan.averaged])
    }
    if not observers:
        raise EdgekitError(
            "EK401",
            what="the graph has nothing that could be stored as integers",
            where="--target",
            fix="take a float target, or quantize a model with convolutions or fully connected layers",
        )
    images = 0
    for maps in stream_maps(observing_session(model, list(observers)), batches):
        for observer, feature_map in zip(observers.values(), maps, strict=True):
            observer.observe(feature_map)
        images += 1
        if progress is not None:
            progress(images, None)
    if not images:
        raise EdgekitError("EK401", what="no calibration images", where="--calibration", fix="give a folder of images")
    ranges = {name: observer.result() for name, observer in observers.items()}
    bad = [name for name, seen in ranges.items() if not np.isfinite([seen.min, seen.max]).all()]
    if bad:
        raise not_finite(model, bad, "activations")
    return ranges


def stream_maps(session: InferenceSession, batches: Iterable[FloatArray]) -> Iterator[list[FloatArray]]:
    """What the session gives for each image, in the order of the images.

    A list is emptied when the next one is asked for: maps of two images together need not fit into memory.
    """
    feed, workers = session.get_inputs()[0].name, images_ahead(session)

    def run(image: FloatArray) -> list[FloatArray]:
        try:
            maps: list[FloatArray] = session.run(None, {feed: np.ascontiguousarray(image[None], np.float32)})
        except REFUSALS as error:
            raise refused(error, "the graph to calibrate") from error
        return maps

    images = (image for batch in batches for image in batch)
    for maps in run_ahead(run, images, workers) if workers else map(run, images):
        yield maps
        maps.clear()


def images_ahead(session: InferenceSession) -> int:
    """How many images may be computed while one is observed: one a core, none where MAPS_AHEAD has no room."""
    elements: int = sum(prod(output.shape) for output in session.get_outputs())
    return min(os.cpu_count() or 1, MAPS_AHEAD // (elements * np.dtype(np.float32).itemsize + 1))


def run_ahead(
    run: Callable[[FloatArray], list[FloatArray]], images: Iterable[FloatArray], workers: int
) -> Iterator[list[FloatArray]]:
    """`run` of each image in their order, `workers` of them at a time."""
    ahead: deque[Future[list[FloatArray]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for image in images:
                ahead.append(pool.submit(run, image))
                if len(ahead) > workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for waiting in ahead:
                waiting.cancel()


class ValueObserver:
    """All that is kept of one value: bounds over every element, histogram over a subset that is the same in each image.

    Args:
        counts: whether a histogram is needed.
        channel_axis: the axis to keep when averaging; None for no averages.
    """

    def __init__(self, counts: bool, channel_axis: int | None) -> None:
        self._counts, self._channel_axis = counts, channel_axis
        self._bounds, self._mean = ChannelObserver(), MeanObserver()
        self._histogram = HistogramObserver()
        self._sample: Sample | None = None
        self._pending: list[tuple[FloatArray, Doubles]] = []

    def observe(self, feature_map: FloatArray) -> None:
        """Take in the value for one image."""
        self._bounds.observe(feature_map)
        if self._channel_axis is not None:
            self._mean.observe(feature_map, self._channel_axis)
        if self._counts:
            if self._sample is None:
                self._sample = Sample.of(feature_map.shape)
            self._pending.append((feature_map.reshape(-1)[self._sample.chosen], self._sample.weigh(feature_map)))
        if len(self._pending) == CHUNK:
            self._count()

    def _count(self) -> None:
        if self._pending:
            elements, weights = map(np.concatenate, zip(*self._pending, strict=True))
            self._histogram.observe(elements, weights)
            self._pending.clear()

    def result(self) -> Range:
        self._count()
        bounds = self._bounds.result()
        if bounds is None:
            return Range(np.inf, -np.inf)
        low, high = float(bounds[0].min()), float(bounds[1].max())
        return Range(low, high, self._histogram.result(), self._mean.result(), bounds, self._histogram.weighted())


@dataclass(frozen=True, slots=True)
class Sample:
    """Which elements of a value's maps are counted, and where they lie: the same in each image.

    Args:
        chosen: indices of the flattened elements, i64[n].
        places: index of each one's position, i64[n].
        rows: the shape of a map with one axis for the channels and one for the positions.
        sums: how einsum adds squares over the channels of such a map.
    """

    chosen: NDArray[np.int64]
    places: NDArray[np.int64]
    rows: tuple[int, int]
    sums: str

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> "Sample":
        """For maps f32[1, C, ...] with a vector over axis 1 per position; with less than four axes f32[..., C]."""
        elements = prod(shape)
        chosen = np.arange(0, elements, choose_stride(elements))
        channels = shape[1] if len(shape) > 3 else shape[-1] if shape else 1
        positions = elements // channels if channels else 0
        if len(shape) > 3:
            return cls(chosen, chosen % max(positions, 1), (channels, positions), "cp,cp->p")
        return cls(chosen, chosen // max(channels, 1), (positions, channels), "pc,pc->p")

    def weigh(self, feature_map: FloatArray) -> Doubles:
        """What an error in each chosen element counts: 1 / (energy of its position + mean energy), f64[n].

        A late layer of MobileNetV2 has a few positions whose vectors are thirty times as long as the others. What the
        network makes of them does not grow with them, because a ReLU6 or a norm bounds it; counted as they are, they
        decide the scale for all others. So an error is measured against the vector that it is made in.
        """
        rows = feature_map.reshape(self.rows)
        energy = np.einsum(self.sums, rows, rows)
        mean = float(np.add.reduce(energy) / len(energy)) if len(energy) else 0.0
        if not 0.0 < mean < np.inf:
            return np.ones(len(self.chosen))
        weights: Doubles = energy[self.places].astype(np.float64)
        weights += mean
        return np.reciprocal(weights, out=weights)


def choose_stride(elements: int) -> int:
    """The stride that leaves at most SAMPLES_PER_MAP elements of a feature map, spread over all channels and columns.

    Coprime to the number of elements: a common factor with the width would sample the same columns in every row.
    """
    stride = -(-elements // SAMPLES_PER_MAP)
    while gcd(stride, elements) > 1:
        stride += 1
    return stride


def observing_session(model: ir.Model, names: list[str]) -> InferenceSession:
    """A float session that returns the named values, in that order."""
    values, outputs = values_of(model), tuple(model.graph.outputs)
    model.graph.outputs[:] = [values[name] for name in names]  # while it is opened: a copy takes longer than that
    try:
        return open_graph(model, "the graph to calibrate", plan_memory=False)
    finally:
        model.graph.outputs[:] = outputs


def check_constants(model: ir.Model) -> None:
    """EK401 when a weight is NaN or infinite: every range behind it would be meaningless."""
    bad = [
        name
        for name, value in model.graph.initializers.items()
        if value.dtype == ir.DataType.FLOAT
        and value.const_value is not None
        and not np.isfinite(value.const_value.numpy()).all()
        and not all(node.op_type in ("Pad", "Clip") for node, _ in value.uses())
    ]
    if bad:
        raise not_finite(model, bad, "weights")


def not_finite(model: ir.Model, names: list[str], what: str) -> EdgekitError:
    """EK401 with one row per value."""
    rows, values = [], values_of(model)
    for name in names:
        value = values[name]
        node = value.producer() or next(reader for reader, _ in value.uses())
        rows.append((name, node.op_type, module_of(node)))
    return EdgekitError(
        "EK401",
        what=f"NaN or infinity in the {what} {names[0]!r}",
        where=rows[0][2],
        fix="check the weights and the preprocessing of the calibration images",
        table=Table(("value", "operator", "module"), tuple(rows)),
    )
