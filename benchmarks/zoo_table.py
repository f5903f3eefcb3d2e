"""docs/zoo.md: the table that is made of what was measured of every zoo model."""

from collections.abc import Iterable
from string import ascii_lowercase
from typing import Any

from edgekit.report.zoo import Measured

COLUMNS = (
    "model",
    "input",
    "CPU s",
    "peak MB",
    "fp32 MB",
    "int8 MB",
    "operators",
    "TRANSPOSE",
    "partitions",
    "fp32 ms",
    "int8 ms",
    "SQNR dB",
    "same top-1",
    "targets that fail",
    "on",
)
FP32, INT8 = "tflite-fp32", "tflite-int8"
HEADER = """# The zoo, measured

Written by `python benchmarks/zoo.py --images DIR`; the record is `models/measured.json`.

- One row is one `edgekit export` of the model at its own input size to tflite-fp32, tflite-int8, ort-fp32 and
  ort-int8, verified on every hop, as one process: user + system seconds and peak memory of all of it, torch included.
- No training data is at hand for most of them, so their weights are *settled*: random, BatchNorm's statistics taken
  from photographs, and a classifier that knows each of those photographs as a class of its own. SQNR and agreement are
  of the int8 file against the PyTorch module on those images: they say that the conversion is sound, not what a
  trained network loses.
- `operators`, `TRANSPOSE` and `partitions` are fp32 / int8 of the TFLite files. Latency is one inference, one thread,
  XNNPACK, CPU time, the median of rounds in which both files take turns.
- In a TFLite file CondenseNet's selections of channels are zeros of dense convolutions (ADR 8): larger than ORT's and
  than the parameters that `edgekit models` counts, and faster than a GATHER that XNNPACK does not take.
- Times are of the machine in the last column:
{machines}
"""

NOTHING = "Nothing: every file is one partition."


def zoo_markdown(measured: Measured, names: Iterable[str]) -> str:
    """docs/zoo.md; `names` are all models, so that it says which were not measured."""
    machines = dict(
        zip(sorted({entry["machine"] for entry in measured.models.values()}), ascii_lowercase, strict=False)
    )
    rows = [(*_row(name, entry), machines[entry["machine"]]) for name, entry in sorted(measured.models.items())]
    named = "\n".join(f"  - {letter}: {machine}" for machine, letter in machines.items())
    lines = [HEADER.format(machines=named), _line(COLUMNS), "|" + "---|" * len(COLUMNS), *map(_line, rows)]
    reasons = [line for name, entry in sorted(measured.models.items()) for line in _undelegated(name, entry)]
    lines += [
        "",
        "## What the delegate does not take, and why",
        "",
        *(reasons or [NOTHING]),
    ]
    missing = sorted(set(names) - set(measured.models))
    lines += ["", "## Not measured yet", "", ", ".join(missing) or "None: all models are in the table."]
    return "\n".join(lines) + "\n"


def failed_targets(entry: dict[str, Any]) -> list[str]:
    """Targets of a model whose gates did not hold."""
    return [target for target, found in entry["targets"].items() if not found["passed"]]


def _row(name: str, entry: dict[str, Any]) -> tuple[str, ...]:
    fp32, int8 = entry["targets"][FP32], entry["targets"][INT8]
    return (
        name,
        entry["input"],
        f"{entry['cpu_s']:.1f}",
        f"{entry['peak_mb']:.0f}",
        f"{fp32['size_bytes'] / 1e6:.2f}",
        f"{int8['size_bytes'] / 1e6:.2f}",
        f"{fp32['operators']} / {int8['operators']}",
        f"{fp32['transposes']} / {int8['transposes']}",
        f"{fp32['partitions']} / {int8['partitions']}",
        _figure(fp32["ms"], 2),
        _figure(int8["ms"], 2),
        _figure(int8["sqnr_db"], 1),
        f"{round(int8['agreement'] * entry['images'])} of {entry['images']}",
        ", ".join(failed_targets(entry)) or "-",
    )


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _undelegated(name: str, entry: dict[str, Any]) -> list[str]:
    """One line per target and reason."""
    lines = []
    for target in (FP32, INT8):
        for operator, reason, count in entry["targets"][target]["undelegated"]:
            lines.append(f"- {name}, {target}: {count} x {operator}: {reason}")
    return lines
