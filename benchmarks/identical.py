"""Whether two checkouts export the same bytes, and what the exports cost: 24 recipes, the hash of each model file.

    python benchmarks/identical.py --json hashes.json                   this checkout alone
    python benchmarks/identical.py --checkout OLD NEW                   both in turn, compared
    python benchmarks/identical.py --checkout OLD NEW --only 'swin*'    recipes of that name

Exit code 1 when a file differs. Ratios are second by first checkout, within one run: at most 1.05 is allowed. Weights,
images and nets are made here, once, and both checkouts are given the same files. A hash is that of this machine and
these versions: calibration runs on ONNX Runtime, whose kernels depend on the processor.
"""

import argparse
import compileall
import hashlib
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from machine import machine
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image
from process import timed
from settled import smooth_images
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
HASHED = ("model.onnx", "model.onnx.data", "model.tflite", "required_operators.config")
"""Not model.ort: ONNX Runtime writes other bytes in each process, of one checkout too."""

REFUSED = "failed"
DIGITS = 16
"""Of a hash, on the terminal."""

EXIT_CODES = (0, 1, 2, 3)
"""What edgekit ends with when it refuses something; the refusal is compared then."""

ALLOWED = 1.05
SIZE = 64
"""Of the images, in pixels."""

FLOAT = ("ort-fp32", "ort-dynamic", "tflite-fp32", "tflite-fp16", "tflite-dynamic")
INT8 = ("ort-int8", "tflite-int8")
MAIN = ("ort-fp32", "tflite-fp32", *INT8)
EIGHT = (*FLOAT, *INT8, "tflite-int16x8")

INPUTS = "{inputs}"
"""In a recipe's arguments: the folder of what is made here."""

IMAGES = ("--calibration", f"{INPUTS}/images", "--samples", "8")
DISTILLED = ("--weights", "random", "--calibration", "distill", "--samples", "8")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One run of `edgekit export`.

    Args:
        arguments: all but the targets and where the bundles go.
    """

    name: str
    targets: tuple[str, ...]
    arguments: tuple[str, ...]


def zoo(model: str, *options: str, size: int = SIZE, classes: int = 16) -> tuple[str, ...]:
    """Arguments of a zoo model with seeded weights.

    Args:
        classes: fewer where int8 takes others than float on an untrained network, which fails a gate.
    """
    return (model, "--weights", "random", "--num-classes", str(classes), "--input-size", str(size), *IMAGES, *options)


def net(name: str, *options: str) -> tuple[str, ...]:
    """Arguments of a function in the Python file."""
    return (f"{INPUTS}/nets.py:{name}", "--input-size", "32", *IMAGES, *options)


RECIPES = (
    Recipe("mobilenet_v3_small_bundled", EIGHT, ("mobilenet_v3_small",)),
    Recipe("resnet20_cifar_distilled", EIGHT, ("resnet20_cifar", *DISTILLED)),
    Recipe("squeezenet1_1", EIGHT, zoo("squeezenet1_1", "--model-arg", "bypass=complex", classes=4)),
    Recipe("mobilenet_v1_folded_uint8", INT8, zoo("mobilenet_v1", "--fold-normalization", "--io", "uint8")),
    Recipe("mobilenet_v2_io_float32", EIGHT, zoo("mobilenet_v2", "--io", "float32")),
    Recipe("efficientnet_lite0", MAIN, zoo("efficientnet_lite0")),
    Recipe("efficientnet_b0", EIGHT, zoo("efficientnet_b0")),
    Recipe("shufflenet_v1_g3", MAIN, zoo("shufflenet_v1_g3", classes=4)),
    Recipe("shufflenet_v2_x0_5", EIGHT, zoo("shufflenet_v2_x0_5")),
    Recipe("densenet121", MAIN, zoo("densenet121", "--model-arg", "growth_rate=8")),
    Recipe("condensenet74_c8_g8", FLOAT, zoo("condensenet74_c8_g8")),  # int8 fails its gate on an untrained network
    Recipe("googlenet", MAIN, zoo("googlenet", "--model-arg", "aux_heads=false")),
    Recipe("inception_v3", MAIN, zoo("inception_v3", "--model-arg", "aux_heads=false", size=96)),
    Recipe("seresnet50", MAIN, zoo("seresnet50")),
    Recipe("dpn68", MAIN, zoo("dpn68")),
    Recipe("xception", MAIN, zoo("xception", size=96)),
    Recipe("nasnet_mobile", MAIN, zoo("nasnet_mobile")),
    Recipe("swin_t", EIGHT, zoo("swin_t")),
    Recipe("python_file", EIGHT, net("make")),
    Recipe("python_file_best", EIGHT, net("make", "--quality", "best")),
    Recipe("segmentation", EIGHT, net("segment")),
    Recipe("two_outputs", EIGHT, net("two_outputs")),
    Recipe("pt2_min_sqnr", EIGHT, (f"{INPUTS}/net.pt2", *IMAGES, "--min-sqnr", "55")),
    Recipe("foreign_qdq", INT8, (f"{INPUTS}/qdq.onnx", *IMAGES)),
)

NETS = '''
import torch
from torch import nn


def unit(inputs, outputs, kernel=3, groups=1, stride=1):
    """A convolution and a BatchNorm with statistics and weights that are not the initial ones."""
    norm = nn.BatchNorm2d(outputs)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    nn.init.uniform_(norm.running_mean, -0.2, 0.2)
    nn.init.uniform_(norm.running_var, 0.2, 1)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, norm)


class Net(nn.Module):
    """A depthwise block with a gate and a shortcut; maps, scores or both. Wide enough for dynamic weights to pay."""

    def __init__(self, maps, scores):
        super().__init__()
        self.stem = unit(3, 32, stride=2)
        self.depthwise = unit(32, 32, groups=32)
        self.gate = nn.Conv2d(32, 32, 1)
        self.project = unit(32, 32, 1)
        self.maps = nn.Conv2d(32, 4, 3, padding=1) if maps else None
        self.scores = nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10)) if scores else None

    def forward(self, x):
        x = nn.functional.hardswish(self.stem(x))
        y = torch.relu(self.depthwise(x))
        y = self.project(y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))) + x
        outputs = []
        if self.scores is not None:
            outputs.append(self.scores(nn.functional.avg_pool2d(y, 4).flatten(1)))
        if self.maps is not None:
            outputs.append(nn.functional.interpolate(self.maps(y), scale_factor=2.0, mode="bilinear"))
        return tuple(outputs) if len(outputs) > 1 else outputs[0]


def make():
    return Net(maps=False, scores=True)


def segment():
    return Net(maps=True, scores=False)


def two_outputs():
    return Net(maps=True, scores=True)
'''

FLOAT_ONNX = """
<ir_version: 8, opset_import: ["": 17]>
net (float[1, 3, 32, 32] image) => (float[1, 10] scores) {
  stem = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (image, w0, b0)
  a = Relu (stem)
  depthwise = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 16> (a, w1, b1)
  b = Relu (depthwise)
  c = Add (a, b)
  pooled = GlobalAveragePool (c)
  flat = Flatten (pooled)
  scores = Gemm <transB = 1> (flat, w2, b2)
}
"""
WEIGHTS = {"w0": (16, 3, 3, 3), "b0": (16,), "w1": (16, 1, 3, 3), "b1": (16,), "w2": (10, 16), "b2": (10,)}
"""Shapes of the graph's constants."""


class Noise(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Eight seeded images for onnxruntime's own quantizer."""

    def __init__(self) -> None:
        images = np.random.default_rng(1).standard_normal((8, 1, 3, 32, 32), dtype=np.float32)
        self.feeds = iter([{"image": image} for image in images])

    def get_next(self) -> dict[str, Any] | None:
        return next(self.feeds, None)


def make_inputs(folder: Path) -> None:
    """Write all that recipes name: images, a Python file, a .pt2 and a graph that another tool quantized."""
    (folder / "images").mkdir(parents=True)
    for index, image in enumerate(smooth_images(16, SIZE, SIZE)):
        pixels = np.clip(124 + 58 * image.transpose(1, 2, 0), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index:03}.png")
    (folder / "nets.py").write_text(NETS)
    write_pt2(folder / "net.pt2")
    write_qdq(folder / "qdq.onnx")


def write_pt2(file: Path) -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Hardswish(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 32, 32),)), file)


def write_qdq(file: Path) -> None:
    model, random = onnx.parser.parse_model(FLOAT_ONNX), np.random.default_rng(0)
    for name, shape in WEIGHTS.items():
        values = random.uniform(-0.5, 0.5, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    source = file.with_name("float.onnx")
    onnx.save(model, source)
    options = {"quant_format": QuantFormat.QDQ, "per_channel": True, "activation_type": QuantType.QInt8}
    quantize_static(source, file, Noise(), **options)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of a checkout's package: bytecode is its own, and edits while it is measured do not reach it.

    Args:
        label: A or B, the folder's name and its commit.
        path: the folder to import from.
    """

    label: str
    path: Path

    @staticmethod
    def copy(checkout: Path, letter: str, folder: Path) -> "Checkout":
        """The import tree of pyproject.toml, without installing: three top-level folders in one."""
        for source, package in (("edgekit", "edgekit"), ("models", "edgekit/models"), ("targets", "edgekit/targets")):
            shutil.copytree(checkout / source, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(folder, quiet=2)  # now, or each process would do it where bytecode is not written
        return Checkout(f"{letter} {checkout.name} {commit_of(checkout)}", folder)

    @contextmanager
    def imported(self) -> Iterator[None]:
        """Processes started inside import this copy, whatever is installed and wherever they are started."""
        before = dict(os.environ)
        paths = [str(self.path), *filter(None, [before.get("PYTHONPATH")])]
        os.environ.update(PYTHONPATH=os.pathsep.join(paths), PYTHONSAFEPATH="1")
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def commit_of(checkout: Path) -> str:
    """The commit, with a mark when files differ from it."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "(no commit)"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a bundle.

    Args:
        name: the file's; "-" where the target has no bundle.
        found: its SHA-256, or why there is none: what the export was refused with.
    """

    target: str
    name: str
    found: str


@dataclass(frozen=True, slots=True)
class Exported:
    """One process: the checkout's label, user + system seconds, peak MiB, and what it left."""

    checkout: str
    cpu_s: float
    peak_mib: float
    files: tuple[File, ...]


def export(recipe: Recipe, checkout: Checkout, inputs: Path, out: Path) -> Exported:
    """Run the recipe with the checkout; the bundles are deleted again."""
    arguments = ["export", *(word.replace(INPUTS, str(inputs)) for word in recipe.arguments)]
    arguments += [word for target in recipe.targets for word in ("--target", target)]
    with checkout.imported():
        cpu_s, peak_mib, output = timed([*arguments, "--quiet", "--json", "--out", str(out)], accepted=EXIT_CODES)
    files = [file for target in recipe.targets for file in files_of(out, target, refusal(output))]
    shutil.rmtree(out, ignore_errors=True)
    return Exported(checkout.label, round(cpu_s, 2), round(peak_mib, 1), tuple(files))


def refusal(output: str) -> str:
    """The code of the error that an export ended with."""
    try:
        error = json.loads(output)["error"]
    except json.JSONDecodeError:
        return f"{REFUSED} crash"
    return f"{REFUSED} {error['code'] if error else 'no bundle'}"


def files_of(out: Path, target: str, without: str) -> Iterator[File]:
    """The model files of a target's bundle, or `without`."""
    bundle = next(out.glob(f"*/{target}"), None)
    if bundle is None:
        yield File(target, "-", without)
        return
    for name in HASHED:
        if (bundle / name).is_file():
            yield File(target, name, hashlib.sha256((bundle / name).read_bytes()).hexdigest())


@dataclass(frozen=True, slots=True)
class Measured:
    """A recipe by every checkout, as often as was asked for; those of the first checkout first."""

    recipe: Recipe
    exports: tuple[Exported, ...]

    def rows(self) -> Iterator[tuple[File, list[str]]]:
        """Each file that any export wrote, and what was found there, each once: one entry where all are equal."""
        found = [{(file.target, file.name): file for file in export.files} for export in self.exports]
        for key in dict.fromkeys(key for files in found for key in files):
            files = [by_key.get(key, File(*key, "absent")) for by_key in found]
            yield files[0], list(dict.fromkeys(file.found for file in files))

    def costs(self) -> list[tuple[float, float]]:
        """(user + system seconds, peak MiB) of every checkout: the least of its exports, which noise adds to."""
        labels = dict.fromkeys(export.checkout for export in self.exports)
        own = [[export for export in self.exports if export.checkout == label] for label in labels]
        return [(min(e.cpu_s for e in exports), min(e.peak_mib for e in exports)) for exports in own]

    def print(self) -> None:
        """A line per file; the cost of the process that made them stands in the first."""
        cost = "  ".join(f"{cpu_s:6.2f} s {peak_mib:6.0f} MiB" for cpu_s, peak_mib in self.costs())
        for file, found in self.rows():
            verdict = "DIFFERS" if len(found) > 1 else "equal" if len(self.exports) > 1 else ""
            hashes = " ".join(f"{text[:DIGITS]:{DIGITS}}" for text in found)
            line = f"{self.recipe.name:26} {file.target:14} {file.name:25} {hashes} {verdict:7} {cost}"
            print(line.rstrip(), flush=True)
            cost = ""


def measure(recipes: list[Recipe], checkouts: list[Path], runs: int) -> Iterator[Measured]:
    """Export recipe by recipe, `runs` times by each checkout in turn, so that noise hits both."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_inputs(folder / "inputs")
        copies = [Checkout.copy(path, letter, folder / letter) for path, letter in zip(checkouts, "AB", strict=False)]
        print(*(copy.label for copy in copies), sep="\n", flush=True)
        for index, recipe in enumerate(recipes):
            exports = []
            for turn in range(index, index + runs):
                order = copies[::-1] if turn % 2 else copies  # neither is always the first
                exports += [export(recipe, copy, folder / "inputs", folder / "out") for copy in order]
            yield Measured(recipe, tuple(sorted(exports, key=lambda export: export.checkout)))


def print_costs(measured: list[Measured]) -> None:
    """Totals, and the ratios of the second checkout to the first."""
    seconds = [sum(cpu_s for cpu_s, _ in costs) for costs in zip(*(m.costs() for m in measured), strict=True)]
    print("CPU seconds in all:", *(f"{total:.1f}" for total in seconds))
    if len(seconds) == 1:
        return
    costs = {m.recipe.name: m.costs() for m in measured}
    print(f"CPU seconds, ratio of totals: {seconds[1] / seconds[0]:.3f}; {ALLOWED} allowed")
    print_ratios("CPU seconds", {name: second[0] / first[0] for name, (first, second) in costs.items()})
    print_ratios("peak memory", {name: second[1] / first[1] for name, (first, second) in costs.items()})


def print_ratios(what: str, ratios: dict[str, float]) -> None:
    median, worst = statistics.median(ratios.values()), max(ratios, key=ratios.__getitem__)
    print(f"{what}, ratio by recipe: median {median:.3f}, worst {ratios[worst]:.3f} ({worst})")


def print_differences(measured: list[Measured]) -> bool:
    """Name what differs; True when anything does."""
    rows = [(m.recipe.name, file, found) for m in measured for file, found in m.rows()]
    differing = [f"differs: {name} {file.target} {file.name}" for name, file, found in rows if len(found) > 1]
    refused = sum(file.found.startswith(REFUSED) for _, file, _ in rows)
    print(f"{len(rows)} files, {refused} of them refused, {len(differing)} differ", *differing, sep="\n")
    return bool(differing)


def write_json(file: Path, measured: list[Measured]) -> None:
    document = {"machine": machine(), "recipes": [asdict(m) for m in measured]}
    file.write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, nargs="+", action="extend", metavar="DIR", help="one or two")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="recipes, for example 'mobilenet*'")
    parser.add_argument("--runs", type=int, default=1, help="of each recipe by each checkout; the least cost counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="whole hashes and costs")
    options = parser.parse_args()
    checkouts = [path.resolve() for path in options.checkout or [ROOT]]
    recipes = [recipe for recipe in RECIPES if fnmatch(recipe.name, options.only)]
    if len(checkouts) > 2:
        parser.error("at most two checkouts can be compared")
    if missing := [str(path) for path in checkouts if not (path / "edgekit" / "__main__.py").is_file()]:
        parser.error(f"not a checkout of edgekit: {', '.join(missing)}")
    if not recipes:
        parser.error(f"no recipe is called {options.only!r}; there are {', '.join(r.name for r in RECIPES)}")
    logging.disable(logging.WARNING)  # onnxruntime's quantizer advises an optimization that the graph does not need
    print(machine())
    measured = []
    for result in measure(recipes, checkouts, options.runs):
        result.print()
        measured.append(result)
    if options.json:
        write_json(options.json, measured)
    print_costs(measured)
    sys.exit(print_differences(measured))


if __name__ == "__main__":
    main()
