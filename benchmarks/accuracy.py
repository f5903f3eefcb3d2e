"""What each rung of quantization keeps: model x rung, top-1, agreement with float, SQNR, seconds.

    python benchmarks/accuracy.py --data ../shared/data                     every model, every rung
    python benchmarks/accuracy.py --data ../shared/data mobilenet_v2 --scheme int16 --rung adaround

Images: imagenet1000, 100 of them to calibrate on and the other 900 to measure on (CIFAR-10's test archive for the model
with bundled weights, calibrated on 100 of its training archive). Two runs print the same table but for the seconds.
Figures are those of ort-int8's file, and of the simulated graph for int16; `--tflite` measures the .tflite files too
and how far both int8 files agree. Google's own quantized MobileNetV2 files are measured on the same 900 images.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from edgekit.graph.outputs import concatenate
from edgekit.graph.runner import GraphRunner
from edgekit.images.folder import ImageFolder
from edgekit.inputs.choose import calibration_inputs
from edgekit.ladder.climb import KEPT, RANKED_ON
from edgekit.ladder.judge import without
from edgekit.passes import prepare_integer, simplify
from edgekit.quant.method import RUNGS, Method, keeping
from edgekit.quant.quantizer import Quantizer
from edgekit.quant.sensitivity import nodes_of, rank
from edgekit.recipe import Recipe, make_recipe
from edgekit.source import resolve
from edgekit.target import EmitOptions, FloatArray, Outputs, QuantScheme, Runner, targets
from edgekit.targets.tflite.run import load_interpreter
from edgekit.trace import trace
from edgekit.verify.evaluate import Selection, labelled_images
from edgekit.verify.parity import measure_agreement, measure_sqnr_db

BATCH = 16
SCHEMES = {"int8": QuantScheme("int8", "int8"), "int16": QuantScheme("int8", "int16")}
BGR_MEAN = {"resize": 256, "crop": (224, 224), "mean": (104 / 255, 117 / 255, 123 / 255), "std": (1 / 255,) * 3}


@dataclass(frozen=True)
class Case:
    """A trained model with its images, below the data folder."""

    model: str
    weights: str | None = None
    calibration: str = "images/imagenet1000"
    images: str = "images/imagenet1000"
    labels: str | None = "images/imagenet_synset_words.txt"
    preprocess: dict[str, object] | None = None

    def recipe(self, data: Path, samples: int) -> Recipe:
        return make_recipe(
            model=str(data / self.model) if self.model.endswith(".onnx") else self.model,
            weights=str(data / self.weights) if self.weights else None,
            targets=("ort-int8",),
            calibration=self.calibration if self.calibration == "distill" else str(data / self.calibration),
            samples=samples,
            preprocess=self.preprocess,
        )


CASES = {
    "mobilenet_v2": Case("mobilenet_v2", "weights/mobilenet_v2-b0353104.pth"),
    "mobilenet_v2, distilled": Case("mobilenet_v2", "weights/mobilenet_v2-b0353104.pth", "distill"),
    "efficientnet_lite0": Case("efficientnet_lite0", "weights/efficientnet-lite0-57934424.pth"),
    "squeezenet1_1": Case("weights/squeezenet1_1-fp16.onnx", preprocess={**BGR_MEAN, "channel_order": "BGR"}),
    "mobilenet_v3_small": Case(
        "mobilenet_v3_small", None, "images/cifar10/train.zip", "images/cifar10/test.zip", labels=None
    ),
}


class Bench:
    """One model: its quantizer, the images it is measured on, and what it gives in float."""

    def __init__(self, case: Case, data: Path, samples: int, limit: int | None) -> None:
        recipe = case.recipe(data, samples)
        source = resolve(recipe)
        self.feed = source.preprocess
        assert source.graph is not None or source.module is not None
        graph = source.graph if source.graph is not None else trace(source.module, source.input_shape)  # type: ignore[arg-type]
        self.float_graph = to_logits(simplify(graph))
        inputs = calibration_inputs(recipe, source, self.feed)
        headroom = inputs.output_headroom
        self.quantizer = Quantizer(prepare_integer(self.float_graph), inputs.batches, output_headroom=headroom)
        labels = data / case.labels if case.labels else None
        folder, classes = labelled_images(Selection(data / case.images, labels, limit), source.labels)
        kept = without(folder, inputs.folder) if inputs.folder is not None else folder
        chosen = set(kept.names)
        self.folder: ImageFolder = kept
        self.labels: NDArray[np.int64] = classes[[name in chosen for name in folder.names]]
        self.reference = self.scores(GraphRunner(self.float_graph))

    def scores(self, run: Runner) -> FloatArray:
        """f32[n, classes] of all images."""
        return scores_of(concatenate(run(batch) for batch in self.folder.batches(self.feed, BATCH)))

    def top1(self, outputs: FloatArray) -> float:
        return 100 * float((outputs.argmax(1) == self.labels).mean())

    def methods(self, wanted: str | None, scheme: QuantScheme) -> Iterator[tuple[str, Method]]:
        """The rungs, then the last one with more and more operators in float32."""
        rungs = RUNGS[scheme.activation]  # type: ignore[index]
        for name, method in rungs.items():
            if wanted in (None, name):
                yield name, method
        if wanted in (None, "mixed"):
            images = self.quantizer.walked_images()[:RANKED_ON]

            def run(graph: ir.Model) -> Outputs:
                return GraphRunner(graph)(images)

            ranked = rank(self.quantizer, method, scheme, run, run(self.quantizer.model))
            for count in KEPT:
                yield f"mixed {count}", keeping(method, nodes_of(ranked[:count]))

    def measure(self, graph: ir.Model, scheme: QuantScheme) -> FloatArray:
        if scheme.activation == "int16":
            return self.scores(GraphRunner(graph))
        return self.scores(file_runner(graph, "ort-int8"))


def scores_of(outputs: Outputs) -> FloatArray:
    """Of a model with one output, f32[n, classes]."""
    [scores] = outputs.values()
    return scores.reshape(len(scores), -1)


def to_logits(graph: ir.Model) -> ir.Model:
    """The same up to its last Softmax, where one ends it: SQNR is that of the logits."""
    node = graph.graph.outputs[0].producer()
    while node is not None and node.op_type in ("Reshape", "Flatten") and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is not None and node.op_type == "Softmax" and node.inputs[0] is not None:
        graph.graph.outputs[:] = [node.inputs[0]]
    return graph


def file_runner(graph: ir.Model, name: str) -> Runner:
    """The graph as a target's file, loaded."""
    target = targets.get(name)
    data = target.emit(graph, target, EmitOptions()).data
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / target.model_file
        file.write_bytes(data)
        runner: Runner = target.run(file)
        return runner


def agreement_of_files(bench: Bench, graph: ir.Model, ours: FloatArray) -> str:
    """How far tflite-int8 and ort-int8 agree: classes, and logits within two integer steps."""
    theirs = bench.scores(file_runner(graph, "tflite-int8"))
    last = next(node for node in reversed(list(graph.graph)) if node.op_type == "DequantizeLinear")
    assert last.inputs[1] is not None
    assert last.inputs[1].const_value is not None
    steps = np.rint(np.abs(ours - theirs) / float(last.inputs[1].const_value.numpy()))
    same = 100 * float((ours.argmax(1) == theirs.argmax(1)).mean())
    return f"{same:.2f} % same class, {100 * float((steps <= 2).mean()):.3f} % within 2 steps"


def google(data: Path, bench: Bench) -> Iterator[tuple[str, float]]:
    """(file, top-1) of Google's own MobileNetV2 files on the same images, fed as their documentation says."""
    for name in ("mobilenet_v2_1.0_224_quant.tflite", "tf2_mobilenet_v2_1.0_224_ptq.tflite"):
        interpreter = load_interpreter(data / "weights" / name)
        given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        hits = 0
        for image_name, label in zip(bench.folder.names, bench.labels.tolist(), strict=True):
            pixels = centre_pixels(bench.folder.location / image_name)
            if given["dtype"] != np.uint8 or "ptq" in name:
                scale, zero = given["quantization"]
                limits = np.iinfo(given["dtype"])
                pixels = np.clip(np.rint((pixels / 127.5 - 1) / scale) + zero, limits.min, limits.max)
            interpreter.set_tensor(given["index"], pixels[None].astype(given["dtype"]))
            interpreter.invoke()
            hits += int(interpreter.get_tensor(result["index"])[0].argmax()) - 1 == label
        yield name, 100 * hits / len(bench.labels)


def centre_pixels(path: Path) -> NDArray[np.float32]:
    """f32[224, 224, 3] in 0..255: shorter side 256, centre crop."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(CASES), help=", ".join(CASES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scheme", choices=SCHEMES, action="append")
    rungs = dict.fromkeys([*RUNGS["int8"], *RUNGS["int16"], "mixed"])
    parser.add_argument("--rung", help="only this one: " + ", ".join(rungs))
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--limit", type=int, help="so many images before calibration images are left out")
    parser.add_argument("--tflite", action="store_true")
    parser.add_argument("--google", action="store_true")
    options = parser.parse_args()
    console = Console(width=160)
    table = Table(
        "model", "activations", "rung", "images", "float", "top-1", "drop", "same", "SQNR dB", "CPU s", "files"
    )
    for model in options.models or list(CASES):
        bench = Bench(CASES[model], options.data, options.samples, options.limit)
        before = bench.top1(bench.reference)
        for scheme_name in options.scheme or list(SCHEMES):
            scheme = SCHEMES[scheme_name]
            for rung, method in bench.methods(options.rung, scheme):
                start_s = time.process_time()
                graph = bench.quantizer.quantize(method, scheme).write()
                seconds = time.process_time() - start_s
                outputs = bench.measure(graph, scheme)
                expected, got = bench.reference.astype(np.float64), outputs.astype(np.float64)
                files = agreement_of_files(bench, graph, outputs) if options.tflite and scheme_name == "int8" else ""
                row = (
                    *(model, scheme_name, rung, str(len(bench.labels)), f"{before:.2f}", f"{bench.top1(outputs):.2f}"),
                    f"{before - bench.top1(outputs):+.2f}",
                    f"{100 * measure_agreement(expected, got):.2f}",
                    f"{measure_sqnr_db(expected, got):.2f}",
                    f"{seconds:.1f}",
                    files,
                )
                table.add_row(*row)
                console.print("  ".join(row), highlight=False)
        if options.google and model == "mobilenet_v2":
            for name, top1 in google(options.data, bench):
                table.add_row(name, "uint8", "as published", str(len(bench.labels)), "", f"{top1:.2f}", *[""] * 5)
    console.print(table)


if __name__ == "__main__":
    main()
