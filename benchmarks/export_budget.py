"""What one export costs: user + system seconds and peak memory, whole process and per stage.

    python benchmarks/export_budget.py --calibration DIR            mobilenet_v3_small to tflite-int8, 100 images
    python benchmarks/export_budget.py mobilenet_v2 --weights FILE --calibration DIR

Nothing is cached between runs. `edgekit --help` is measured too.
"""

import argparse
import json
import tempfile

from process import timed
from rich.console import Console
from rich.table import Table

GATE_FAILED = 1
"""The bundled weights are for 80 pixels: at 224 the cost is what counts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="mobilenet_v3_small")
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--input-size", default="224x224")
    parser.add_argument("--target", default="tflite-int8")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    console, table = Console(), Table("process", "run", "CPU s", "peak MiB", "CPU s per stage")
    for index in range(options.runs):
        cpu_s, peak_mb, _ = timed(["--help"])
        table.add_row("edgekit --help", str(index + 1), f"{cpu_s:.2f}", f"{peak_mb:.0f}", "")
    for index in range(options.runs):
        with tempfile.TemporaryDirectory() as out:
            arguments = ["export", options.model, "--weights", options.weights, "--target", options.target]
            arguments += ["--calibration", options.calibration, "--samples", "100", "--json", "--quiet", "--out", out]
            arguments += ["--input-size", options.input_size]
            cpu_s, peak_mb, output = timed(arguments, accepted=(0, GATE_FAILED))
        stages = json.loads(output)["stages"]
        inside = sum(stage["cpu_s"] for stage in stages)
        parts = [f"start and imports {cpu_s - inside:.2f}", *(f"{s['stage']} {s['cpu_s']:.2f}" for s in stages)]
        table.add_row(f"export {options.model}", str(index + 1), f"{cpu_s:.2f}", f"{peak_mb:.0f}", ", ".join(parts))
    console.print(table)


if __name__ == "__main__":
    main()
