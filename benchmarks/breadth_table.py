"""docs/breadth.md from the record of benchmarks/breadth.py."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from breadth_models import Subject

Document = Mapping[str, Any]
Record = Mapping[tuple[str, str], Document]

BARS = {
    "timm families": (97, 85),
    "torchvision classifiers": (18, 18),
    "torchvision dense": (15, 13),
    "nets for phones": (51, 45),
    "further timm": (33, 31),
}
"""How many of each group are to be exported to tflite-fp32, and to be one partition in int8."""

HEAD = """\
# Breadth

What other libraries' models and the nets that phones run come to: made by `benchmarks/breadth.py`, do not edit.

`fp32` is a file of `tflite-fp32` that gives what the module gives, within that target's gate (1e-4 of an output's
range); `one partition` is an int8 file that XNNPACK takes without a break; `recorded` is a model that is traced without
torch's exporter. Inputs are the smallest of 64 to 384 pixels that a model takes, weights are random, BatchNorm holds
the statistics of four images. The groups: one small model of each module of timm; one of each of torchvision's
classifiers; its segmentation models and its detectors up to their heads, and two detectors with their own suppression
of boxes; 53 nets of `benchmarks/breadth_nets.py`; 33 further models of timm.

"""


def breadth_markdown(record: Record, subjects: Sequence[Subject]) -> str:
    """The page: a row per group, then every model that falls short, and those that are not measured."""
    known = [(s, record[s.group, s.name]) for s in subjects if (s.group, s.name) in record]
    text = HEAD + _groups(known, subjects)
    text += "\n## What falls short\n\n| group | model | what | why |\n|---|---|---|---|\n"
    text += "".join(
        f"| {s.group} | {s.name} | {what} | {_cell(why)} |\n" for s, found in known for what, why in _shortfalls(found)
    )
    missing = [f"{s.group}: {s.name}" for s in subjects if (s.group, s.name) not in record]
    if missing:
        text += f"\n## Not measured\n\n{len(missing)} of {len(subjects)}: {'; '.join(missing)}.\n"
    return text


def _groups(known: Sequence[tuple[Subject, Document]], subjects: Sequence[Subject]) -> str:
    columns = ("group", "models", "measured", "fp32 (aim)", "one partition (aim)", "recorded")
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for group, (floats, whole) in BARS.items():
        found = [document for subject, document in known if subject.group == group]
        counts = (f"{_count(found, 'fp32')} ({floats})", f"{_count(found, 'one partition')} ({whole})")
        cells = (group, sum(s.group == group for s in subjects), len(found), *counts, _count(found, "recorded"))
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows) + "\n"


def _count(found: Iterable[Document], what: str) -> int:
    return sum(not any(short == what for short, _ in _shortfalls(document)) for document in found)


def _shortfalls(found: Document) -> list[tuple[str, str]]:
    """(column, why) for each that a model does not have."""
    short = []
    error = found.get("error")
    if not found.get("exported"):
        distance = f"differs by {found['difference']:.1e} of the range" if "difference" in found else ""
        short.append(("fp32", error or found.get("float_error") or distance))
    if found.get("partitions") != 1:
        why = f"{found.get('partitions')} partitions: {', '.join(found.get('left', ()))}"
        short.append(("one partition", error or found.get("integer_error") or why))
    if not found.get("recorded"):
        short.append(("recorded", error or found.get("why_not", "")))
    return short


def _cell(text: str) -> str:
    line = " ".join(text.replace("|", ",").split())
    return line if len(line) <= 160 else line[:157] + "..."
