"""What every form of a construct costs: instructions on emulated ARM cores, CPU time on this host.

    python benchmarks/forms.py                          all constructs, A53, A72 and A76, and this CPU
    python benchmarks/forms.py hard_swish --core a76    prints, and writes nothing
    python benchmarks/forms.py --write                  into edgekit/costs.toml, which the lowering reads; what is not
                                                        measured now stays as it is

A form is measured where it stands in a network: between two 1x1 convolutions, against the same file without it. Cutting
files apart instead is wrong around pads, which are fused into what follows, and around chains of element-wise operators
of one tensor, which XNNPACK computes as one table. Over the shapes of a construct a line is fitted: per element, per
pixel, per multiply-accumulate, per call. Instructions are exact; of CPU times the least of several is taken.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from constructs import CONSTRUCTS, Form, Shape
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from edgekit.bench.blocks import count_blocks
from edgekit.bench.instructions import median_inference
from edgekit.costs import TUNES, Cost, costs
from edgekit.costs import Table as Costs
from edgekit.devices.run_model import RunRequest, open_device
from edgekit.target import targets
from edgekit.targets.tflite.run import load_interpreter

COSTS = Path(__file__).parent.parent / "edgekit" / "costs.toml"
HEAD = """\
# What the forms of a construct cost on a core. Written by benchmarks/forms.py --write; do not edit.
# Instructions of one inference on a53, a72 and a76, nanoseconds of CPU time on x86: per element, pixel, MAC, and call.
"""
TERMS = ("element", "pixel", "mac", "call")
ROUNDS, REPEATS = 7, 10
REPEATABLE = 1e-2
"""A file of a few operators is so small that what reads the clock shows in its count."""


@dataclass(frozen=True)
class Measured:
    """What a form added at one shape."""

    shape: Shape
    macs: int
    cost: float


def instructions(data: bytes, core: str) -> float:
    """Of one inference on an emulated core."""
    target = targets.get("tflite-int8")
    interpreter = load_interpreter(data)
    given = interpreter.get_input_details()[0]
    inputs = np.random.default_rng(0).integers(-100, 100, given["shape"]).astype(given["dtype"]).tobytes()
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        file = Path(folder) / "model.tflite"
        file.write_bytes(data)
        request = RunRequest(target.runtime, file, hashlib.sha256(data).hexdigest(), inputs)
        with open_device(f"emulated:cortex-{core}", exclusive=False) as device:
            _, counted = count_blocks(device, request)
    spans, _ = median_inference(counted, core, REPEATABLE)
    return float(counted.instructions(spans))


def nanoseconds(data: bytes) -> float:
    """CPU time of one inference on this host, the least of several rounds."""
    interpreter = load_interpreter(data)
    interpreter.invoke()
    found = []
    for _ in range(ROUNDS):
        started = time.process_time_ns()
        for _ in range(REPEATS):
            interpreter.invoke()
        found.append((time.process_time_ns() - started) / REPEATS)
    return min(found)


def measure(data: bytes, core: str) -> float:
    return nanoseconds(data) if core == "x86" else instructions(data, core)


def added(form: Form, core: str, bare: dict[tuple[str, Shape, str], float]) -> list[Measured]:
    """What a form adds to the file without it, at each of its shapes."""
    found = []
    for shape in form.shapes:
        key = (form.name if form.bare else "", shape, core)
        if key not in bare:
            bare[key] = measure(form.without(shape), core)
        found.append(Measured(shape, form.macs(shape), measure(form.file(shape), core) - bare[key]))
    return found


def fit(found: Sequence[Measured]) -> Cost:
    """The line of least relative error; a term that the shapes do not tell apart, or that is negative, is left out."""
    columns = {
        "element": [m.shape.elements for m in found],
        "pixel": [m.shape.pixels for m in found],
        "mac": [m.macs for m in found],
        "call": [1] * len(found),
    }
    terms = [term for term in TERMS if any(columns[term]) and not (term in ("pixel", "call") and len(found) < 3)]
    while True:
        weights = 1 / np.maximum([abs(m.cost) for m in found], 1.0)
        matrix = np.stack([np.array(columns[term], float) for term in terms], 1) * weights[:, None]
        solved: NDArray[np.float64] = np.linalg.lstsq(matrix, np.array([m.cost for m in found]) * weights)[0]
        worst = int(np.argmin(solved * [max(columns[term]) for term in terms]))
        if solved[worst] >= 0 or len(terms) == 1:
            return Cost(**dict(zip(terms, np.maximum(solved, 0).tolist(), strict=True)))
        terms.pop(worst)


def merged(old: Costs, new: Costs) -> dict[str, dict[str, dict[str, Cost]]]:
    """What was measured now over what the file holds."""
    names = {construct: {**old.get(construct, {}), **new.get(construct, {})} for construct in {**old, **new}}
    return {
        construct: {
            form: {**old.get(construct, {}).get(form, {}), **new.get(construct, {}).get(form, {})} for form in forms
        }
        for construct, forms in names.items()
    }


def written(table: dict[str, dict[str, dict[str, Cost]]]) -> str:
    """The table as TOML."""
    lines = [HEAD]
    for construct, forms in sorted(table.items()):
        for form, by_core in forms.items():
            lines.append(f"[{construct}.{form}]")
            for core, cost in by_core.items():
                terms = ", ".join(f"{term} = {value:.4g}" for term, value in asdict(cost).items() if value)
                lines.append(f"{core} = {{ {terms or 'element = 0.0'} }}")
            lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("constructs", nargs="*", default=list(CONSTRUCTS))
    parser.add_argument("--core", action="append", choices=TUNES, help="repeatable; all")
    parser.add_argument("--write", action="store_true", help=f"into {COSTS.name}")
    options = parser.parse_args()
    console, found, bare = Console(), dict[str, dict[str, dict[str, Cost]]](), dict[tuple[str, Shape, str], float]()
    for construct in options.constructs:
        table = Table("form", "core", "shape", "cost", "per element", title=construct)
        for form in CONSTRUCTS[construct]:
            for core in options.core or TUNES:
                measured = added(form, core, bare)
                found.setdefault(construct, {}).setdefault(form.name, {})[core] = fit(measured)
                for one in measured:
                    each = f"{one.cost / one.shape.elements:.2f}"
                    table.add_row(form.name, core, str(one.shape), f"{one.cost:.0f}", each)
        console.print(table)
        if options.write:
            COSTS.write_text(written(merged(costs.__wrapped__(), found)), encoding="utf-8")


if __name__ == "__main__":
    main()
