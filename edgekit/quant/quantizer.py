"""Makes the QDQ graph of any method for one model. What several methods need is measured once."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.costs import Tune
from edgekit.graph.outputs import relative_noise
from edgekit.graph.runner import GraphRunner
from edgekit.progress import Step
from edgekit.quant.absorb_bias import absorb_bias
from edgekit.quant.adaround import Moments, observe_moments, round_layers
from edgekit.quant.assign import assign
from edgekit.quant.bias_correction import mean_error
from edgekit.quant.calibrate import calibrate
from edgekit.quant.expand import expand, tighten
from edgekit.quant.float_heads import float_heads
from edgekit.quant.hard_swish import ADDITIONS, Choice, choose_gates, pass_factors, saturate_below
from edgekit.quant.layers import StoredLayer, constant_layers, store_layers
from edgekit.quant.method import Method, keeping
from edgekit.quant.observers import Range
from edgekit.quant.parameters import ActivationType, QParams
from edgekit.quant.plan import Plan, make_plan, name_of
from edgekit.quant.qdq import write_pairs
from edgekit.quant.trial import Trial
from edgekit.quant.walk import Walker
from edgekit.quant.weights import QuantizedWeight
from edgekit.recipe import Criterion
from edgekit.target import Outputs, QuantScheme

FloatArray = NDArray[np.float32]
Batches = Callable[[], Iterable[FloatArray]]

# Bytes that one feature map may take for all images of a walk: at most a few maps are alive, twice each.
WALK_BYTES = 128 * 2**20
MOST_WALKED = 64
# Bytes of calibration images that are kept for the next pass over them: 100 of 224 pixels take 60 MB.
KEPT_BYTES = 96 * 2**20
# With as many images, an equalized graph is calibrated on every third of those that the plain one was.
THIRD_OF = 96
# Share of the observed channels that equalization must change: the graph is calibrated once more for it, which one
# whose activations let no factor pass would pay for in vain. One HardSwish that lets factors pass may be enough.
LEAST_EQUALIZED = 0.15
# Of the noise, what relative ranges may leave to be taken: less of a gain is one of the images that it is seen on.
MOST_LEFT = 0.9
# Images on which a correction must prove itself: what it was fitted to always gains.
COMPARED_ON = 24
# Decibels that a form must gain for each percent that the file costs more by the table of costs. MobileNetV3-Small:
# bands behind the first convolution gain 9 dB for 2 %, layers everywhere 0.4 more for 20.
WORTH_DB = 1.0
LEAST_NOISE = 1e-12


@dataclass(slots=True)
class Calibrated:
    """A float graph with what was observed on it.

    Args:
        moments: of its layers' operands; None until a method needs them.
        rounded: weights that AdaRound found, per type of the activations and criterion of their ranges.
        trial: of the graph, to measure what is lost; None before it is asked for and behind the last question.
        lost: share of the outputs' power that is noise, per criterion of the ranges, where it was measured.
        choice: how its HardSwish are written.
    """

    model: ir.Model
    ranges: dict[str, Range]
    moments: dict[str, Moments] | None = None
    rounded: dict[tuple[ActivationType, Criterion], dict[str, QuantizedWeight]] = field(default_factory=dict)
    trial: Trial | None = None
    lost: dict[Criterion, float] = field(default_factory=dict)
    choice: Choice = ADDITIONS


@dataclass(frozen=True, slots=True)
class Quantized:
    """Everything that was decided for a graph; `walker` can compare it with the float graph layer by layer."""

    model: ir.Model
    plan: Plan
    params: dict[str, QParams]
    layers: dict[str, StoredLayer]
    ranges: dict[str, Range]
    dtype: ActivationType
    method: Method
    choice: Choice = ADDITIONS

    def write(self) -> ir.Model:
        """The QDQ graph, as a new model."""
        return write_pairs(self.model.clone(), self.plan, self.params, self.layers, self.dtype)

    def simulated(self) -> GraphRunner:
        """The QDQ graph as a function, computed in float."""
        graph = self.model.clone()
        return GraphRunner(write_pairs(graph, self.plan, self.params, self.layers, self.dtype, real_constants=True))

    @property
    def walker(self) -> Walker:
        return Walker(self.model, self.plan, self.params, self.layers, self.dtype)


@dataclass(slots=True)
class Quantizer:
    """Quantizes one model again and again.

    Args:
        model: integer-ready float graph, as `prepare_integer` returns it; it is not changed.
        batches: called once per pass over the calibration images that does not find them kept; yields f32[n, C, H, W].
        progress: told how many images were observed, in each pass.
        rounding_s: CPU seconds that AdaRound may take.
        output_headroom: what the observed range of an output is multiplied by.
        keep_float: names of nodes that stay in float32 with every method.
        tune: the core that forms are chosen for (edgekit/costs.py).
    """

    model: ir.Model
    batches: Batches
    progress: Step | None = None
    rounding_s: float = 600.0
    output_headroom: float = 1.0
    keep_float: tuple[str, ...] = ()
    tune: Tune | None = None
    _plain: Calibrated | None = field(default=None, repr=False)
    _equalized: tuple[Calibrated, ...] | None = field(default=None, repr=False)
    _expanded: Calibrated | None = field(default=None, repr=False)
    _kept: list[FloatArray] | None = field(default=None, repr=False)
    _chosen: Calibrated | None = field(default=None, repr=False)
    _expected: Outputs | None = field(default=None, repr=False)

    def quantize(self, method: Method, scheme: QuantScheme) -> Quantized:
        """Decide every parameter and integer of the graph.

        Raises:
            EdgekitError: EK401 for no images, or a NaN or infinite value.
        """
        assert scheme.activation != "float32"
        method = keeping(method, tuple(dict.fromkeys((*self.keep_float, *method.keep_float))))
        base = self._base(method, scheme.activation)
        if method.criterion == "relative" and scheme.activation == "int8":
            method = replace(method, criterion=self._criterion(base))
        small = float_heads(base.model, base.ranges, scheme.activation)
        plan = make_plan(base.model, (*method.keep_float, *small))
        params = assign(base.model, plan, base.ranges, scheme.activation, method.criterion)
        layers = constant_layers(base.model, plan)
        rounded = self._rounded(base, scheme.activation, method.criterion) if method.rounding == "adaptive" else None
        stored = store_layers(layers, params, base.ranges, rounded, correct=method.bias != "none")
        found = Quantized(base.model, plan, params, stored, base.ranges, scheme.activation, method, base.choice)
        return self._correct(found) if method.bias == "empirical" else found

    def _base(self, method: Method, dtype: ActivationType) -> Calibrated:
        if method.expand:
            return self.expanded()
        return self._better() if method.equalize and dtype == "int8" else self.plain()

    def _rounded(self, base: Calibrated, dtype: ActivationType, criterion: Criterion) -> dict[str, QuantizedWeight]:
        """AdaRound of every layer, also of those that one method keeps in float: the next one may not."""
        if (dtype, criterion) not in base.rounded:
            plan = make_plan(base.model, self.keep_float)
            base.moments = base.moments or observe_moments(base.model, plan, self.images())
            params = assign(base.model, plan, base.ranges, dtype, criterion)
            layers = constant_layers(base.model, plan)
            scales = {layer.name: params[layer.operand].scale for layer in layers}
            base.rounded[dtype, criterion] = round_layers(layers, base.moments, scales, self.rounding_s)
        return base.rounded[dtype, criterion]

    def images(self) -> Iterable[FloatArray]:
        """The calibration images, f32[n, C, H, W] each; decoded once where they fit into KEPT_BYTES."""
        if self._kept is not None:
            yield from self._kept
            return
        kept, size = [], 0
        for batch in self.batches():
            size += batch.nbytes
            if size <= KEPT_BYTES:
                kept.append(batch)
            yield batch
        self._kept = kept if size <= KEPT_BYTES else None

    def _third(self) -> Iterable[FloatArray]:
        """Every third image, where that leaves THIRD_OF / 3: enough for a range, and MobileNetV2 loses nothing."""
        images = chain.from_iterable(self.images())
        first = list(islice(images, THIRD_OF))
        step = 3 if len(first) == THIRD_OF else 1
        return (image[None] for image in islice(chain(first, images), 0, None, step))

    def plain(self) -> Calibrated:
        """The graph as it is, calibrated."""
        if self._plain is None:
            self._plain = Calibrated(self.model, self._observe(self.model, self.images(), self.progress))
        return self._plain

    def _observe(self, model: ir.Model, images: Iterable[FloatArray], progress: Step | None = None) -> dict[str, Range]:
        """The ranges of a graph, those of its outputs with headroom."""
        ranges = calibrate(model, images, progress, self.keep_float)
        if self.output_headroom != 1.0:
            plan = make_plan(model, self.keep_float)
            groups = {plan.group.get(name_of(value), "") for value in model.graph.outputs}
            for name in (name for group in groups for name in plan.sources.get(group, ()) if name in ranges):
                low, high = ranges[name].min, ranges[name].max
                wide = (self.output_headroom * low, self.output_headroom * high)
                ranges[name] = replace(ranges[name], min=wide[0], max=wide[1], histogram=None, weighted=None)
        return ranges

    def equalized(self) -> tuple[Calibrated, ...]:
        """The graph with equalized channels and absorbed biases, calibrated again, cheapest first.

        One for each set of HardSwish that a factor passes through (hard_swish.py); none where few channels change.
        """
        if self._equalized is None:
            found = (self._equalize(choice) for choice in choose_gates(self.model, self.plain().ranges, self.tune))
            self._equalized = tuple(one for one in found if one is not None)
        return self._equalized

    def _equalize(self, choice: Choice) -> Calibrated | None:
        plain, model = self.plain(), self.model.clone()
        absorb_bias(model, plain.ranges)
        changed = pass_factors(model, plain.ranges, choice)
        if changed < LEAST_EQUALIZED and not choice.forms:
            return None
        saturate_below(model)
        return Calibrated(model, self._observe(model, self._third()), choice=choice)

    def expanded(self) -> Calibrated:
        """The graph with every layer's weights in two parts, calibrated again."""
        if self._expanded is None:
            model = self.model.clone()
            additions = expand(model, constant_layers(model, make_plan(model, self.keep_float)))
            ranges = self._observe(model, self.images(), self.progress)
            tighten(additions, ranges)
            self._expanded = Calibrated(model, ranges)
        return self._expanded

    def _better(self) -> Calibrated:
        """The graph that keeps most for what it costs, which is measured: EfficientNet-Lite0 has it in its training.

        All are quantized cheaply and compared with float on a few calibration images. A dearer one is taken where it
        gains WORTH_DB for each percent that the file costs more.
        """
        if self._chosen is None:
            candidates = (self.plain(), *self.equalized())
            self._chosen = candidates[0] if len(candidates) == 1 else max(candidates, key=self._worth)
            for base in candidates:
                base.trial = base.trial if base is self._chosen else None
        return self._chosen

    def _worth(self, base: Calibrated) -> float:
        """Decibels that a graph keeps, less what each percent of its cost has to gain."""
        return -10 * float(np.log10(max(self._lost(base, "mse"), LEAST_NOISE))) - WORTH_DB * base.choice.dearer

    def _criterion(self, base: Calibrated) -> Criterion:
        """Ranges of least relative error where they clearly keep more than those of least error; measured too."""
        gains = self._lost(base, "relative") < MOST_LEFT * self._lost(base, "mse")
        base.trial = None
        return "relative" if gains else "mse"

    def _lost(self, base: Calibrated, criterion: Criterion) -> float:
        """Noise over signal of what a graph gives on a few calibration images when it is quantized cheaply."""
        if criterion not in base.lost:
            images = self.compared_images()[::2]
            if self._expected is None:
                self._expected = GraphRunner(self.model)(images)
            if base.trial is None:
                base.trial = Trial(base.model, base.ranges, self.keep_float)
            base.lost[criterion] = relative_noise(self._expected, base.trial(images, criterion))
        return base.lost[criterion]

    def walked_images(self) -> FloatArray:
        """The first calibration images, as many as a walk may hold, f32[n, C, H, W]."""
        sizes = [
            int(np.prod([n for n in value.shape if isinstance(n, int)]))
            for node in self.model.graph
            for value in node.outputs
            if value.shape is not None
        ]
        count = max(1, min(MOST_WALKED, WALK_BYTES // (4 * max(sizes, default=1))))
        return np.stack(list(islice(chain.from_iterable(self.images()), count)))

    def compared_images(self) -> FloatArray:
        """The last calibration images, f32[n, C, H, W]: where there are enough, none that a walk has seen."""
        last: deque[FloatArray] = deque(chain.from_iterable(self.images()), COMPARED_ON)
        return np.stack(list(last))

    def _correct(self, found: Quantized) -> Quantized:
        """The same with empirical bias correction, layer after layer, where other images than the walked ones gain.

        SqueezeNet, whose 100 images of a thousand classes say little about the means of the rest, does not.
        """
        layers = dict(found.layers)

        def correct(node: ir.Node, reference: FloatArray, actual: FloatArray) -> FloatArray:
            shift = mean_error(reference, actual, 1 if node.op_type == "Conv" else -1)
            layer = layers[str(node.name)]
            assert layer.bias is not None
            layers[str(node.name)] = replace(layer, bias=(layer.bias + shift).astype(np.float32))
            return shift

        for _ in found.walker.walk(self.walked_images(), correct):
            pass
        corrected = replace(found, layers=layers)
        images = self.compared_images()
        expected = GraphRunner(self.model)(images)
        lost = [relative_noise(expected, q.simulated()(images)) for q in (found, corrected)]
        return corrected if lost[1] < lost[0] else found
